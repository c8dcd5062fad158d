"""Doing an explanation again, years later: from the record and its package to the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from explain.catalogue import Catalogue
from explain.errors import ExplainError
from explain.flagged import FlaggedEvents
from explain.reason_settings import ReasonSettings
from explain.record import Record, read
from explain.record_parts import DecisionPart
from explain.record_writer import RecordWriter
from explain.settings import ExplainSettings
from inference.cpu_engine import CpuEngine
from inference.engine import TOLERANCE
from inference.package import ModelPackage

_ANSWERS = ("score", "probability", "anomaly")
_NAMED_BY = ("code", "name", "group")


class ReplayError(ExplainError):
    """A record can't be explained again; the message says what is missing."""


@dataclass(frozen=True)
class Difference:
    """A key that came out otherwise: as the record has it, and as it is now."""

    key: str
    recorded: Any
    recomputed: Any


@dataclass(frozen=True)
class Answer:
    """One of the model's answers, as recorded and as the CPU's engine gives it now."""

    name: str
    recorded: float | None
    recomputed: float | None
    agrees: bool


@dataclass(frozen=True)
class Replay:
    """What became of a record that was made again.

    Attributes:
        id: the record's.
        answers: the model's.
        differences: empty where the bytes are the same.
        recorded_sha256, recomputed_sha256: of the record's bytes.
    """

    id: str
    answers: tuple[Answer, ...]
    differences: tuple[Difference, ...]
    recorded_sha256: str
    recomputed_sha256: str

    @property
    def identical(self) -> bool:
        """Whether the bytes are the same."""
        return self.recorded_sha256 == self.recomputed_sha256


def replay(
    data: bytes,
    package: ModelPackage,
    number: int | None,
    explain: ExplainSettings,
    reasons: ReasonSettings,
    catalogue: Catalogue,
) -> Replay:
    """Ask the model again about the values of a record, explain the answer, and compare all bytes.

    Samples, seed, kernel and groups are the record's own, and so are its languages. The answers are
    taken from the record where the engine's lie within its tolerance, since another processor may
    add in another order; those that do not, and a decision that does not follow from them, are
    differences. When and where the event was, and its key's token, no model can say: they are taken
    as they are.

    Args:
        data: the record's bytes.
        package: the model that the record names.
        number: its version in the registry.
        explain: gives what no record holds: thresholds of confidence, and how many groups count.
        reasons: how many, and from which share on.

    Raises:
        RecordError: it is no record.
        ReplayError: the record names another package, or no explanation can be made of it.
    """
    record = read(data)
    if record.model.package != package.id:
        raise ReplayError(
            f"record {record.id} was made with package {record.model.package}, not {package.id}"
        )
    answers = _answers(record, package)
    writer = RecordWriter(
        package,
        number,
        _settings_of(record, explain),
        reasons.model_copy(update={"languages": _languages_of(record, catalogue)}),
        catalogue,
        lambda _: record.event.key,
    )
    ((_, again),) = writer.write(_event_of(record, answers))
    recorded, recomputed = (msgspec.to_builtins(each) for each in (record, read(again)))
    return Replay(
        id=record.id,
        answers=answers,
        differences=tuple(_differences("", recorded, recomputed)),
        recorded_sha256=sha256(data).hexdigest(),
        recomputed_sha256=sha256(again).hexdigest(),
    )


def _settings_of(record: Record, explain: ExplainSettings) -> ExplainSettings:
    explainer = record.explainer
    try:
        return ExplainSettings(
            samples=explainer.samples,
            seed=explainer.seed,
            kernel_width=explainer.kernel_width,
            groups={group.name: group.features for group in explainer.groups},
            confidence=explain.confidence,
            top=explain.top,
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise ReplayError(f"record {record.id}: explainer.{key}: {problem['msg']}") from error


def _languages_of(record: Record, catalogue: Catalogue) -> tuple[str, ...]:
    """Those of the record which the catalogue has; what others said is a difference."""
    told = {language for reason in record.reasons for language in reason.analyst}
    return tuple(language for language in catalogue.languages if language in told)


def _vector(record: Record) -> NDArray[np.float32]:
    """The values as the model was given them, (1, k) in the record's order."""
    values = [np.nan if each.value is None else each.value for each in record.features]
    with np.errstate(over="ignore"):  # a forged one may be too large
        return np.array([values], dtype=np.float32)


def _answers(record: Record, package: ModelPackage) -> tuple[Answer, ...]:
    tolerances: Mapping[Any, float] = TOLERANCE
    tolerance = tolerances.get(record.model.precision, TOLERANCE["float32"])
    names = [each.name for each in record.features]
    with CpuEngine(package, names) as engine:
        outputs = engine.infer(_vector(record))
    found = []
    for name, column in zip(_ANSWERS, outputs, strict=True):
        recorded, value = getattr(record.answers, name), float(column[0])
        now = value if np.isfinite(value) else None
        known = recorded is not None and now is not None
        agrees = abs(recorded - now) <= tolerance if known else recorded is now
        found.append(Answer(name, recorded, now, agrees))
    return tuple(found)


def _event_of(record: Record, answers: Sequence[Answer]) -> FlaggedEvents:
    event = record.event
    score, probability, anomaly = (
        np.array([each.recorded if each.agrees else each.recomputed], dtype=np.float32)
        for each in answers
    )
    try:
        times, offsets = (np.array([each], np.int64) for each in (event.time, event.offset))
    except OverflowError as error:
        raise ReplayError(f"record {record.id}: event: no time or offset is so large") from error
    return FlaggedEvents(
        topic=event.topic,
        partition=event.partition,
        model=record.model.package[:12],
        backend=record.model.backend,
        precision=record.model.precision,
        names=[each.name for each in record.features],
        ids=[event.id],
        keys=[""],
        times=times,
        offsets=offsets,
        features=_vector(record),
        score=score,
        probability=probability,
        anomaly=anomaly,
        decisions=[_decision_of(record.decision, float(probability[0]))],
    )


def _decision_of(recorded: DecisionPart, probability: float) -> DecisionPart:
    """What follows from the probability and the recorded thresholds.

    The bound of the anomaly is not in the record, so below the others the recorded outcome is
    taken, unless it is ``decline``, which no anomaly gives.
    """
    bounds = recorded.thresholds
    if bounds.review is None and bounds.decline is None:
        return recorded
    outcome = recorded.outcome
    if bounds.decline is not None and np.float32(probability) >= np.float32(bounds.decline):
        outcome = "decline"
    elif bounds.review is not None and np.float32(probability) >= np.float32(bounds.review):
        outcome = "review"
    elif outcome == "decline":
        outcome = "review" if np.isnan(probability) else "approve"
    return msgspec.structs.replace(recorded, outcome=outcome)


def _differences(key: str, recorded: Any, recomputed: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        for name in sorted(recorded.keys() | recomputed.keys()):
            below = f"{key}.{name}" if key else name
            yield from _differences(below, recorded.get(name), recomputed.get(name))
    elif isinstance(recorded, list | tuple) and isinstance(recomputed, list | tuple):
        for i in range(max(len(recorded), len(recomputed))):
            ours, theirs = (each[i] if i < len(each) else None for each in (recorded, recomputed))
            yield from _differences(f"{key}[{_name(ours) or i}]", ours, theirs)
    elif recorded != recomputed:
        yield Difference(key, recorded, recomputed)


def _name(item: Any) -> str | None:
    """What an item of a list is known by."""
    if not isinstance(item, dict):
        return None
    return next((item[each] for each in _NAMED_BY if each in item), None)
