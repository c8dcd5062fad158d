"""The explanation record: why one event was decided as it was, in bytes that stay the same."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta

from explain.errors import ExplainError
from explain.record.parts import (
    AnswersPart,
    CataloguePart,
    DecisionPart,
    EventPart,
    ExplainerPart,
    ExplanationPart,
    FeaturePart,
    LimeExplainerPart,
    ModelPart,
    Part,
    method_of,
)
from explain.record.reason import Reason
from explain.record.reason_settings import MOST_REASONS
from streams.events.json_diagnosis import UNREADABLE

Schema = Literal[
    "weir.explanation/1", "weir.explanation/2", "weir.explanation/3", "weir.explanation/4"
]
SCHEMAS: Final[dict[tuple[type[ExplainerPart | LimeExplainerPart], bool], Schema]] = {
    (ExplainerPart, False): "weir.explanation/1",
    (LimeExplainerPart, False): "weir.explanation/2",
    (ExplainerPart, True): "weir.explanation/3",
    (LimeExplainerPart, True): "weir.explanation/4",
}
"""By what explained, in log-odds of fraud or in probability, and by whether the event's place is
sealed. A number is raised with every change of what a record holds; each has a file of its own in
``explain/record/schemas``."""


class RecordError(ExplainError):
    """What should be an explanation record is none; the message names the key."""


class Record(Part, frozen=True, kw_only=True):
    """Why one event was decided as it was, with all that is needed to say so again.

    Attributes:
        id: see `record_id`.
        features: in the order of the model's columns.
        reasons: those that contribute most first.
    """

    schema: Schema
    id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    event: EventPart
    decision: DecisionPart
    answers: AnswersPart
    model: ModelPart
    features: tuple[FeaturePart, ...]
    explainer: ExplainerPart | LimeExplainerPart
    explanation: ExplanationPart
    reasons: Annotated[tuple[Reason, ...], Meta(max_length=MOST_REASONS)]
    catalogue: CataloguePart


class _Named(msgspec.Struct):
    schema: str


_decode = msgspec.json.Decoder(Record).decode
_decode_name = msgspec.json.Decoder(_Named).decode


def record_id(event: EventPart, package: str) -> str:
    """The id of the record of one event and package, 32 hex digits.

    The same event explained with the same package has the same id, so that doing it twice leaves
    one record. Where the place is sealed, nobody computes the id from the event without the key
    that seals it.
    """
    place = event.place or f"{event.topic}\n{event.partition}\n{event.offset}"
    return hashlib.sha256(f"{place}\n{package}".encode()).hexdigest()[:32]


def build_record(
    *,
    event: EventPart,
    decision: DecisionPart,
    answers: AnswersPart,
    model: ModelPart,
    features: Sequence[FeaturePart],
    explainer: ExplainerPart | LimeExplainerPart,
    explanation: ExplanationPart,
    reasons: Sequence[Reason],
    catalogue: CataloguePart,
) -> Record:
    """Put a record together from its parts (`explain.writing.part_builders` makes some of them)."""
    return Record(
        schema=_schema_of(event, explainer),
        id=record_id(event, model.package),
        event=event,
        decision=decision,
        answers=answers,
        model=model,
        features=tuple(features),
        explainer=explainer,
        explanation=explanation,
        reasons=tuple(reasons),
        catalogue=catalogue,
    )


def canonical(record: Record) -> bytes:
    """The record as UTF-8 JSON: keys sorted, no spaces, floats as Python's repr, NaN as null.

    The same record gives the same bytes wherever it is written; ``read(canonical(record))`` is the
    record with None for numbers that are not finite.

    Raises:
        RecordError: a part holds what its type does not allow, or parts contradict each other.
    """
    try:
        # msgspec writes null for a number that is not finite.
        checked = _decode(msgspec.json.encode(record, enc_hook=_plain))
        data = _json(checked)
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError) as error:
        raise RecordError(f"no explanation record: {error}") from error
    _check_together(checked)
    return data


def read(data: bytes) -> Record:
    """Read a record, and make sure that it is canonical.

    Raises:
        RecordError: it is no record of this version, its parts contradict each other, or it was
            written in another way than `canonical` does.
    """
    try:
        schema = _decode_name(data).schema
        if schema not in SCHEMAS.values():
            known = ", ".join(map(repr, SCHEMAS.values()))
            raise RecordError(f"a record of schema {schema!r}; this version of Weir reads {known}")
        record = _decode(data)
    except (*UNREADABLE, TypeError) as error:
        raise RecordError(f"no explanation record: {error}") from error
    _check_together(record)
    if _json(record) != data:
        raise RecordError(
            "no canonical record: its keys are not sorted, it holds spaces or a key twice, or a "
            "number is written in another way; it was changed, or not written by Weir"
        )
    return record


def _schema_of(event: EventPart, explainer: ExplainerPart | LimeExplainerPart) -> Schema:
    return SCHEMAS[type(explainer), event.place is not None]


def _json(record: Record) -> bytes:
    text = json.dumps(
        msgspec.to_builtins(record),
        ensure_ascii=False,
        allow_nan=False,
        sort_keys=True,
        separators=(",", ":"),
    )
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no part of a record")


def _check_together(record: Record) -> None:
    """Raise `RecordError` where parts of a record contradict each other."""
    for problem in _contradictions(record):
        raise RecordError(f"no explanation record: {problem}")


def _contradictions(record: Record) -> Iterator[str]:
    event, groups = record.event, record.explainer.groups
    is_open = event.place is None
    if (event.partition is not None, event.offset is not None) != (is_open, is_open):
        yield "event: it has either partition and offset, or a sealed place"
    if event.key is None and not is_open:
        yield "event.key: there is none, and the place is sealed under the key of its subject"
    expected = record_id(event, record.model.package)
    if record.id != expected:
        yield f"id: event and package make it {expected}, not {record.id}"
    if record.schema != _schema_of(event, record.explainer):
        place = "an open" if is_open else "a sealed"
        yield (
            f"schema: {record.schema} has no record by the method {method_of(record.explainer)!r} "
            f"with {place} place"
        )
    names = [group.name for group in groups]
    attributed = {each.group: each.value for each in record.explanation.attributions}
    if [each.group for each in record.explanation.attributions] != names:
        yield "explanation.attributions: they are not those of explainer.groups, in their order"
    grouped = sorted(feature for group in groups for feature in group.features)
    if grouped != sorted(feature.name for feature in record.features):
        yield "explainer.groups: not every feature is in exactly one of them"
    for reason in record.reasons:
        if reason.group is not None and reason.contribution != attributed.get(reason.group):
            yield f"reasons: {reason.code!r} has another contribution than group {reason.group!r}"
