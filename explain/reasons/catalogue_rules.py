"""What a catalogue must keep to, whatever the features: complete, reachable, discreet."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from explain.reasons.catalogue import DIRECTIONS, MISSING, Catalogue, Entry, Wording
from explain.reasons.intervals import Interval, gaps
from explain.reasons.number_text import TYPICAL, UNIT, VALUE, locale_of, numbers_in, placeholders

_FACTORS = {"number": (1,), "percent": (1, 100), "duration": (1, 1 / 60, 1 / 3_600, 1 / 86_400)}
"""By how a value is shown: what its number may be multiplied by in a text."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a catalogue: its kind, for programs; the key; what, and the fix.

    An empty key is the file as a whole.
    """

    kind: str
    key: str
    says: str

    def __str__(self) -> str:
        return f"{self.key}: {self.says}" if self.key else self.says


def place(index: int, entry: Entry) -> str:
    """How a message names an entry: its key in the file, what it is about, and its code."""
    return f"entries.{index} ({entry.subject}, {entry.direction}, {entry.code})"


def problems_of(catalogue: Catalogue) -> list[Problem]:
    """Everything that is wrong with a catalogue by itself."""
    found = list(_languages(catalogue))
    wordings: list[tuple[str, Wording]] = [("fallback", catalogue.fallback)]
    wordings += [(place(index, entry), entry) for index, entry in enumerate(catalogue.entries)]
    for key, wording in wordings:
        found += _complete(key, wording, catalogue)
        found += _placeholders(key, wording, catalogue)
    found += _revealed_bounds(catalogue)
    found += _codes(catalogue)
    found += _unreachable(catalogue)
    return found


def _languages(catalogue: Catalogue) -> Iterator[Problem]:
    for language in catalogue.languages:
        try:
            locale_of(language)
        except ValueError as error:
            yield Problem("language", "languages", str(error))
    if len(set(catalogue.languages)) < len(catalogue.languages):
        yield Problem("language", "languages", "a language stands there twice: remove one")


def _complete(key: str, wording: Wording, catalogue: Catalogue) -> Iterator[Problem]:
    for name in ("analyst", "customer"):
        texts: dict[str, str] = getattr(wording, name)
        for language in catalogue.languages:
            if not texts.get(language, "").strip():
                yield Problem("language", f"{key}.{name}.{language}", "there is no text: write one")
        for language in sorted(set(texts).difference(catalogue.languages)):
            yield Problem(
                "language",
                f"{key}.{name}.{language}",
                f"{language!r} is not among languages ({', '.join(catalogue.languages)}): add it "
                "there, or remove the text",
            )


def _placeholders(key: str, wording: Wording, catalogue: Catalogue) -> Iterator[Problem]:
    judged = isinstance(wording, Entry) and wording.judged is not None
    missing = isinstance(wording, Entry) and wording.direction == MISSING
    for language, text in wording.analyst.items():
        names, problem = _names(f"{key}.analyst.{language}", text)
        if problem is not None:
            yield problem
        if names and not judged:
            yield Problem(
                "placeholder",
                f"{key}.analyst.{language}",
                f"{_braces(names)} can't be filled, no feature stands for this: remove it, or "
                "name one with by",
            )
        elif missing and names & {VALUE, UNIT}:
            yield Problem(
                "placeholder",
                f"{key}.analyst.{language}",
                f"{_braces(names & {VALUE, UNIT})} can't be filled, the value is missing: "
                "remove it",
            )
    allowed = {VALUE, UNIT} if catalogue.customer_values and judged and not missing else set()
    for language, text in wording.customer.items():
        names, problem = _names(f"{key}.customer.{language}", text)
        if problem is not None:
            yield problem
        if names - allowed:
            hint = (
                "the typical value is a bound that the customer must not learn"
                if TYPICAL in names
                else "values are not for the customer unless customer_values = true"
            )
            yield Problem(
                "reveals",
                f"{key}.customer.{language}",
                f"{_braces(names - allowed)}: {hint}; remove it",
            )


def _names(key: str, text: str) -> tuple[set[str], Problem | None]:
    try:
        return placeholders(text), None
    except ValueError as error:
        return set(), Problem("placeholder", key, f"{error}; a brace itself is written twice")


def _braces(names: set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def _revealed_bounds(catalogue: Catalogue) -> Iterator[Problem]:
    for index, entry in enumerate(catalogue.entries):
        if entry.band is None:
            continue
        given = {bound for bound in (entry.band.at_least, entry.band.below) if bound is not None}
        bounds = {round(bound * factor, 9) for bound in given for factor in _FACTORS[entry.show]}
        for language, text in entry.customer.items():
            for number in sorted(bounds & numbers_in(text)):
                yield Problem(
                    "reveals",
                    f"{place(index, entry)}.customer.{language}",
                    f"{number:g} is a bound of the band, a threshold that the customer must not "
                    "learn: say it without the number",
                )


def _codes(catalogue: Catalogue) -> Iterator[Problem]:
    """One code says one thing to the customer, because a decision names each code once."""
    first: dict[str, Wording] = {catalogue.fallback.code: catalogue.fallback}
    for index, entry in enumerate(catalogue.entries):
        known = first.setdefault(entry.code, entry)
        if (known.customer, known.adverse_action) != (entry.customer, entry.adverse_action):
            yield Problem(
                "code",
                f"{place(index, entry)}.code",
                f"{entry.code!r} says something else to the customer, or in adverse_action, than "
                "where it stands first: choose another code, or make them equal",
            )


def _unreachable(catalogue: Catalogue) -> Iterator[Problem]:
    covered: dict[tuple[str | None, str | None, str], list[Interval]] = defaultdict(list)
    closed: set[str] = set()
    for index, entry in enumerate(catalogue.entries):
        reached = False
        for direction in DIRECTIONS[entry.direction]:
            if direction == MISSING and entry.band is not None:
                continue  # what is missing is in no band
            before = covered[entry.group, entry.judged, direction]
            reached = reached or bool(gaps(entry.span, before))
            before.append(entry.span)
        if not reached or entry.group in closed:
            yield Problem(
                "unreachable",
                place(index, entry),
                "earlier entries are for the same values and speak first: move it up, narrow "
                "their bands, or remove it",
            )
        if entry.group is not None and entry.by is None:
            closed.add(entry.group)
