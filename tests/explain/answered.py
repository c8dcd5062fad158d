"""Events that a scorer has answered, as the explainer reads them, and what explains them."""

from typing import Any

from scorer_desk import CONTRACT, TOPICS, Desk, work_of

from explain.lime.settings import ExplainSettings
from explain.record.reason_settings import ReasonSettings
from explain.writing.event_parts import event_parts
from explain.writing.flagged import FlaggedEvents, read_flagged
from explain.writing.key_ring import KeyRing
from explain.writing.record_writer import RecordWriter
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS
from weir.reasons import open_catalogue


def answered(model: ModelPackage, count: int, **policy: Any) -> list[FlaggedEvents]:
    """By partition, whatever was decided."""
    log = Desk(model, **policy).process(work_of(count))[TOPICS.feature_log]
    records = zip(log.partitions, log.values, strict=True)
    return [read_flagged(value or b"", partition, DECISIONS) for partition, value in records]


def writer_of(
    model: ModelPackage,
    explain: ExplainSettings,
    reasons: ReasonSettings | None = None,
    ring: KeyRing | None = None,
) -> RecordWriter:
    """What explains version 7."""
    reasons = reasons or ReasonSettings()
    return RecordWriter(
        model,
        7,
        explain=explain,
        reasons=reasons,
        catalogue=open_catalogue(reasons),
        event_of=event_parts(ring, CONTRACT.key),
    )
