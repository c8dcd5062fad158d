"""A catalogue beside the features that it is for: what is missing, and what is in vain."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from explain.errors import ExplainError
from explain.reasons.catalogue import DIRECTIONS, HIGH, LOW, MISSING, Catalogue, Entry
from explain.reasons.catalogue_rules import Problem, place
from explain.reasons.feature_range import FeatureRange, range_of
from explain.reasons.intervals import Interval, gaps
from streams.events.contract import EventContract
from streams.features.declarations import FeatureDeclaration


def check_catalogue(
    catalogue: Catalogue,
    declarations: Sequence[FeatureDeclaration],
    contract: EventContract,
    groups: Mapping[str, Sequence[str]],
    languages: Sequence[str] = (),
) -> list[Problem]:
    """Return what is wrong with a catalogue for these features.

    Args:
        catalogue: one that keeps its own rules, as `load_catalogue` returns it.
        declarations: all features of the plan.
        contract: the events that they are computed of.
        groups: features that the explainer keeps or replaces together, by name; every other
            feature is a group of its own.
        languages: those that records are to hold; empty for all of the catalogue's.
    """
    ranges = {each.name: range_of(each, contract) for each in declarations}
    found: list[Problem] = []
    try:
        catalogue.told_in(languages)
    except ExplainError as error:
        found.append(Problem("language", "languages", str(error)))
    # A name without an underscore, such as "amount", is a word of everybody's.
    inside = {name for name in (*ranges, *groups) if "_" in name}
    grouped = {feature for features in groups.values() for feature in features}
    for name, features in groups.items():
        for feature in features:
            if feature not in ranges:  # the explainer passes over it: an old model may have it
                said = f"there is no feature {feature!r}: {_fix(feature, ranges)}"
                found.append(Problem("unknown", f"explain.groups.{name} of the settings", said))
    groups = {**groups, **{name: (name,) for name in ranges if name not in grouped}}
    for index, entry in enumerate(catalogue.entries):
        found += _subject(place(index, entry), entry, ranges, groups)
        found += _band(place(index, entry), entry, ranges)
        found += _names_told(place(index, entry), entry.customer, inside)
    found += _names_told("fallback", catalogue.fallback.customer, inside)
    for name, features in groups.items():
        known = [feature for feature in features if feature in ranges]
        found += _without_reason(name, known, ranges, catalogue)
    return found


def _fix(feature: str, ranges: Mapping[str, FeatureRange]) -> str:
    near = get_close_matches(feature, ranges, n=1)
    return f"write {near[0]!r}, or remove it" if near else "remove it"


def _subject(
    key: str, entry: Entry, ranges: Mapping[str, FeatureRange], groups: Mapping[str, Sequence[str]]
) -> Iterator[Problem]:
    if entry.feature is not None and entry.feature not in ranges:
        fix = _fix(entry.feature, ranges)
        if entry.feature in groups:
            fix = f"it is a group, write group = {entry.feature!r}"
        yield Problem("unknown", key, f"there is no feature {entry.feature!r}: {fix}")
    if entry.group is None:
        return
    if entry.group not in groups:
        yield Problem(
            "unknown",
            key,
            f"there is no group {entry.group!r}: remove it, or declare it in [explain.groups] "
            f"(there are {', '.join(groups)})",
        )
    elif entry.by is not None and entry.by not in groups[entry.group]:
        yield Problem(
            "unknown",
            key,
            f"by = {entry.by!r} is not in the group: name one of {', '.join(groups[entry.group])}",
        )


def _band(key: str, entry: Entry, ranges: Mapping[str, FeatureRange]) -> Iterator[Problem]:
    values = ranges.get(entry.judged or "")
    if values is None:
        return
    low, high = values.within(entry.span)
    least, end = _beyond_some_value(values, entry.direction)
    if max(low, least) >= min(high, end):
        yield Problem(
            "unreachable",
            key,
            f"no value of {entry.judged} that can be {entry.direction} lies in its band, they lie "
            f"from {values.low:g} to {values.high:g}: change the band",
        )
    if entry.direction == MISSING and not values.may_miss:
        yield Problem("unreachable", key, f"{entry.judged} always has a value: remove this entry")


def _names_told(key: str, texts: Mapping[str, str], inside: set[str]) -> Iterator[Problem]:
    for language, text in texts.items():
        words = {word.casefold() for word in re.findall(r"\w+", text)}
        for name in sorted(name for name in inside if name.casefold() in words):
            yield Problem(
                "reveals",
                f"{key}.customer.{language}",
                f"{name} is a name from inside the model: say what it means",
            )


def _without_reason(
    name: str, features: Sequence[str], ranges: Mapping[str, FeatureRange], catalogue: Catalogue
) -> Iterator[Problem]:
    """A group needs entries of its own that always fit, or each of its features does."""
    own = [entry for entry in catalogue.entries if entry.group == name]
    leaders = {entry.by for entry in own}
    if None in leaders or any(
        not any(_uncovered([e for e in own if e.by == by], ranges[by]))
        for by in leaders.intersection(ranges)
        if by is not None
    ):
        for index, entry in enumerate(catalogue.entries):
            if entry.feature in features:
                yield Problem(
                    "unreachable",
                    place(index, entry),
                    f"the entries of group {name!r} always fit, and speak first: remove it",
                )
        return
    for feature in features:
        entries = [entry for entry in catalogue.entries if entry.feature == feature]
        for direction, which in _uncovered(entries, ranges[feature]):
            yield Problem(
                "uncovered",
                f"entries ({feature}, {direction})",
                f"there is no reason for a value that is {direction}{which}: add an entry with "
                f"direction = {direction!r}",
            )


def _uncovered(entries: Sequence[Entry], values: FeatureRange) -> Iterator[tuple[str, str]]:
    """The directions, and the bounds within them in words, in which no entry fits."""
    for direction in (HIGH, LOW):
        wanted = _beyond_some_value(values, direction)
        spans = [values.within(e.span) for e in entries if direction in DIRECTIONS[e.direction]]
        for gap in gaps(wanted, [span for span in spans if span[0] < span[1]]):
            yield direction, _where(gap, wanted)
    if values.may_miss and not any(
        MISSING in DIRECTIONS[entry.direction] and entry.band is None for entry in entries
    ):
        yield MISSING, ""


def _beyond_some_value(values: FeatureRange, direction: str) -> Interval:
    """The least value is never high, the greatest never low."""
    low, high = values.span
    step = 1 if values.whole else 0
    return low + step * (direction == HIGH), high - step * (direction == LOW)


def _where(gap: Interval, wanted: Interval) -> str:
    if gap == wanted:
        return ""
    low, high = gap
    if high == wanted[1]:
        return f" and at least {low:g}"
    return f" and below {high:g}" if low == wanted[0] else f" and from {low:g} to below {high:g}"
