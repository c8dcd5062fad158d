"""What an analyst is shown of a record, the same in the terminal, in HTML and on paper."""

from collections.abc import Sequence
from dataclasses import dataclass

from explain.errors import ExplainError
from explain.reasons.number_text import UNKNOWN, decimal_text, locale_of, spoken
from explain.record.parts import FeaturePart, LimeExplainerPart, method_of
from explain.record.record import Record
from explain.reports.sheet_words import words_of
from streams.base.clock import utc


class LanguageError(ExplainError):
    """A record has no texts in a language."""


@dataclass(frozen=True)
class Fact:
    """A name and what it is."""

    name: str
    text: str


@dataclass(frozen=True)
class SaidReason:
    """A reason in words, with its code and its contribution as text."""

    code: str
    text: str
    contribution: str


@dataclass(frozen=True)
class Bar:
    """One attribution.

    Attributes:
        share: of the scale, -1 to 1: where the bar ends, seen from zero in the middle.
        spread: of the scale: its standard error.
        text: the value, signed.
        error: the standard error, as text.
    """

    group: str
    share: float
    spread: float
    text: str
    error: str


@dataclass(frozen=True)
class ValueRow:
    """What the model was given of one feature, as text."""

    feature: str
    value: str
    typical: str
    unit: str
    window: str


@dataclass(frozen=True)
class Sheet:
    """All of it; texts are in one language.

    Attributes:
        outcome: approve, review or decline.
        decision: the same in words.
        words: labels by their names in `explain.reports.sheet_words`.
        bars: the largest effect first.
        values: in the order of the bars' groups.
    """

    language: str
    words: dict[str, str]
    outcome: str
    decision: str
    confident: bool
    event: tuple[Fact, ...]
    answers: tuple[Fact, ...]
    reasons: tuple[SaidReason, ...]
    bars: tuple[Bar, ...]
    values: tuple[ValueRow, ...]
    honesty: tuple[Fact, ...]
    versions: tuple[Fact, ...]


def language_of(record: Record, wanted: str | None) -> str:
    """The language to say a record in: the one wanted, or else English, or else its first.

    Raises:
        LanguageError: the record has no texts in the one that is wanted.
    """
    said = [{*texts} for each in record.reasons for texts in (each.analyst, each.customer)]
    languages = sorted(set.intersection(*said)) if said else []
    if said and not languages:
        raise LanguageError(f"record {record.id} has no language that all of its texts are in")
    if wanted is None:
        return "en" if "en" in languages or not languages else languages[0]
    if wanted not in languages:
        raise LanguageError(
            f"record {record.id} has no texts in {wanted!r}, only in {', '.join(languages)}: the "
            "languages of a record are those of reasons.languages when it was made"
        )
    return wanted


def sheet_of(record: Record, language: str) -> Sheet:
    """Put the sheet together.

    Args:
        language: see `language_of`.
    """
    words = words_of(language)
    if isinstance(record.explainer, LimeExplainerPart):
        words = words | {name: words[f"lime_{name}"] for name in ("attributions_note", "baseline")}
    bars = _bars(record, language)
    return Sheet(
        language=language,
        words=words,
        outcome=record.decision.outcome,
        decision=words[record.decision.outcome],
        confident=record.explanation.confident,
        event=_event(record, words),
        answers=_answers(record, words, language),
        reasons=tuple(
            SaidReason(each.code, each.analyst[language], signed(each.contribution, language))
            for each in record.reasons
        ),
        bars=bars,
        values=_values(record, [bar.group for bar in bars], words, language),
        honesty=_honesty(record, words, language),
        versions=_versions(record, words),
    )


def signed(value: float | None, language: str) -> str:
    """A number in log-odds or in probability, with its sign."""
    if value is None:
        return UNKNOWN
    form = "+0.00;-0.00" if round(value, 2) else "0.00;0.00"
    return decimal_text(value, form, locale_of(language))


def number(value: float | None, language: str) -> str:
    """A number as a language writes it."""
    return UNKNOWN if value is None else spoken(value, "number", language)


def percent(value: float | None, language: str) -> str:
    """A share as a language writes it."""
    return UNKNOWN if value is None else spoken(value, "percent", language)


def _event(record: Record, words: dict[str, str]) -> tuple[Fact, ...]:
    event = record.event
    if event.offset is None:
        place = f"{event.topic}, {words['sealed']}"
    else:
        place = f"{event.topic}/{event.partition}/{event.offset}"
    return (
        Fact(words["id"], str(event.id)),
        Fact(words["time"], utc(event.time, "s")),
        Fact(words["key"], event.key or UNKNOWN),
        Fact(words["place"], place),
        Fact(words["record"], record.id),
    )


def _answers(record: Record, words: dict[str, str], language: str) -> tuple[Fact, ...]:
    answers, bounds = record.answers, record.decision.thresholds

    def bound(value: float | None) -> str:
        return words["never"] if value is None else percent(value, language)

    facts = [
        Fact(words["probability"], percent(answers.probability, language)),
        Fact(words["review_from"], bound(bounds.review)),
        Fact(words["decline_from"], bound(bounds.decline)),
        Fact(words["score"], percent(answers.score, language)),
        Fact(words["anomaly"], percent(answers.anomaly, language)),
        Fact(words["log_odds"], signed(answers.log_odds, language)),
    ]
    if bounds.anomaly_review is not None:
        facts.append(Fact(words["anomaly_from"], bound(bounds.anomaly_review)))
    if record.decision.fallback is not None:
        facts.append(Fact(words["fallback"], record.decision.fallback))
    return tuple(facts)


def _bars(record: Record, language: str) -> tuple[Bar, ...]:
    attributions = sorted(record.explanation.attributions, key=lambda each: -abs(each.value or 0.0))
    scale = max((abs(each.value or 0.0) + (each.error or 0.0) for each in attributions), default=0)
    return tuple(
        Bar(
            group=each.group,
            share=(each.value or 0.0) / scale if scale else 0.0,
            spread=(each.error or 0.0) / scale if scale else 0.0,
            text=signed(each.value, language),
            error="" if each.error is None else "±" + number(each.error, language),
        )
        for each in attributions
    )


def _values(
    record: Record, groups: Sequence[str], words: dict[str, str], language: str
) -> tuple[ValueRow, ...]:
    members = {group.name: group.features for group in record.explainer.groups}
    place = [feature for group in groups for feature in members[group]]
    features = sorted(record.features, key=lambda each: place.index(each.name))
    return tuple(
        ValueRow(
            feature=each.name,
            value=number(each.value, language),
            typical=number(each.typical, language),
            unit=each.unit or "",
            window=_window(each, words),
        )
        for each in features
    )


def _window(feature: FeaturePart, words: dict[str, str]) -> str:
    if feature.window is None:
        return ""
    said = feature.window
    if feature.delay is not None:
        said = words["before"].format(window=feature.window, delay=feature.delay)
    return said if feature.entity is None else f"{feature.entity}, {said}"


def _honesty(record: Record, words: dict[str, str], language: str) -> tuple[Fact, ...]:
    found, answers = record.explanation, record.answers
    explained = (
        answers.score if isinstance(record.explainer, LimeExplainerPart) else answers.log_odds
    )
    gap = None
    if found.local is not None and explained is not None:
        gap = found.local - explained
    return (
        Fact(words["r2"], number(found.r2, language)),
        Fact(
            words["ess"],
            f"{number(found.ess, language)} {words['of']} "
            f"{number(record.explainer.samples, language)}",
        ),
        Fact(words["vsi"], number(found.stability.vsi, language)),
        Fact(words["csi"], number(found.stability.csi, language)),
        Fact(words["gap"], signed(gap, language)),
        Fact(words["baseline"], signed(found.baseline, language)),
    )


def _versions(record: Record, words: dict[str, str]) -> tuple[Fact, ...]:
    model, explainer, catalogue = record.model, record.explainer, record.catalogue
    return (
        Fact(words["model"], UNKNOWN if model.version is None else str(model.version)),
        Fact(words["package"], model.package),
        Fact(words["computed"], f"{model.backend}, {model.precision}"),
        Fact(words["feature_schema"], model.feature_schema),
        Fact(words["training_data"], model.training_data),
        Fact(words["policy"], record.decision.policy),
        Fact(words["catalogue"], f"{catalogue.name} {catalogue.version}"),
        Fact(
            words["explainer"],
            f"{method_of(explainer)}, n = {explainer.samples}, "
            f"seed = {explainer.seed}, {explainer.runtime}",
        ),
    )
