"""Doing an explanation again, years later: from the record and its package to the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from explain.errors import ExplainError
from explain.exact.settings import LimeSettings
from explain.lime.settings import ConfidenceSettings, ExplainSettings
from explain.reasons.catalogue import Catalogue
from explain.record.parts import LimeExplainerPart
from explain.record.reason_settings import ReasonSettings
from explain.record.record import Record, read
from explain.writing.flagged import FlaggedEvents
from explain.writing.record_writer import RecordWriter
from inference.backends.cpu import CpuEngine
from inference.engine.protocol import TOLERANCE, Outputs
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS, Policy, PolicyError, PolicySettings

_ANSWERS = ("score", "probability", "anomaly")
_NAMED_BY = ("code", "name", "group")


class ReproductionError(ExplainError):
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
class Reproduction:
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


def reproduce(
    data: bytes, package: ModelPackage, number: int | None, catalogue: Catalogue
) -> Reproduction:
    """Ask the model again about the values of a record, explain the answer, and compare all bytes.

    What the settings and the policy's bounds were is in the record, and so are its languages. The
    answers are taken from it where the engine's lie within its tolerance, since another processor
    may add in another order; those that do not, and a decision that does not follow from them, are
    differences. When and where the event was, and its key's token, no model can say: they are taken
    as they are, and a sealed place stays sealed.

    Args:
        data: the record's bytes.
        package: the model that the record names.
        number: its version in the registry.
        catalogue: the one that the record names; by another, what differs says so.

    Raises:
        RecordError: it is no record.
        ReproductionError: the record names another package, or no explanation can be made of it.
    """
    record = read(data)
    if record.model.package != package.id:
        raise ReproductionError(
            f"record {record.id} was made with package {record.model.package}, not {package.id}"
        )
    answers = _answers(record, package)
    writer = RecordWriter(
        package,
        number,
        explain=_explain_settings(record),
        reasons=_reason_settings(record, catalogue),
        catalogue=catalogue,
        event_of=lambda *_: record.event,
    )
    ((_, again),) = writer.write(_event_of(record, answers, package))
    recorded, recomputed = (msgspec.to_builtins(each) for each in (record, read(again)))
    return Reproduction(
        id=record.id,
        answers=answers,
        differences=tuple(_differences("", recorded, recomputed)),
        recorded_sha256=sha256(data).hexdigest(),
        recomputed_sha256=sha256(again).hexdigest(),
    )


def _explain_settings(record: Record) -> ExplainSettings:
    """By the method that the record names."""
    explainer, sure = record.explainer, record.explainer.confidence
    try:
        confidence = ConfidenceSettings(r2=sure.r2, ess=sure.ess, vsi=sure.vsi, gap=sure.gap)
        if isinstance(explainer, LimeExplainerPart):
            lime = LimeSettings(
                discretizer=explainer.discretizer,
                categorical_features=explainer.categorical_features,
                sample_around_instance=explainer.sample_around_instance,
                kernel_width=explainer.kernel_width,
                feature_selection=explainer.feature_selection,
                num_features=explainer.num_features,
                num_samples=explainer.samples,
            )
            return ExplainSettings(
                method="lime", seed=explainer.seed, lime=lime, confidence=confidence
            )
        return ExplainSettings(
            samples=explainer.samples,
            seed=explainer.seed,
            kernel_width=explainer.kernel_width,
            top=explainer.top,
            groups={group.name: group.features for group in explainer.groups},
            confidence=confidence,
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise ReproductionError(f"record {record.id}: explainer.{key}: {problem['msg']}") from error


def _reason_settings(record: Record, catalogue: Catalogue) -> ReasonSettings:
    """In the record's languages which the catalogue has; what others said is a difference."""
    told = {language for reason in record.reasons for language in reason.analyst}
    telling = record.explainer.reasons
    return ReasonSettings(
        languages=tuple(language for language in catalogue.languages if language in told),
        at_most=telling.at_most,
        least_share=telling.least_share,
    )


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


def _event_of(record: Record, answers: Sequence[Answer], package: ModelPackage) -> FlaggedEvents:
    """What was answered; which event it was, the record alone says."""
    outputs = Outputs(
        *(
            np.array([each.recorded if each.agrees else each.recomputed], dtype=np.float32)
            for each in answers
        )
    )
    outcome = DECISIONS[_policy_of(record, package).decide(outputs)[0]]
    return FlaggedEvents(
        topic=record.event.topic,
        partition=0,
        model=record.model.package[:12],
        backend=record.model.backend,
        precision=record.model.precision,
        names=[each.name for each in record.features],
        ids=[record.event.id],
        keys=[""],
        times=np.zeros(1, np.int64),
        offsets=np.zeros(1, np.int64),
        features=_vector(record),
        score=outputs.score,
        probability=outputs.probability,
        anomaly=outputs.anomaly,
        decisions=[msgspec.structs.replace(record.decision, outcome=outcome)],
    )


def _policy_of(record: Record, package: ModelPackage) -> Policy:
    """One with the recorded bounds, whatever the model's own are."""
    bounds = record.decision.thresholds
    settings = PolicySettings(
        review_probability=bounds.review,
        review_alert_rate=0 if bounds.review is None else None,
        decline_probability=bounds.decline,
        decline_alert_rate=0 if bounds.decline is None else None,
        anomaly_review=bounds.anomaly_review,
    )
    try:
        return Policy(settings, package.thresholds)
    except PolicyError as error:
        raise ReproductionError(f"record {record.id}: decision.thresholds: {error}") from error


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
