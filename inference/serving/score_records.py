"""What was answered, as records of the scores topic."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from msgspec import UNSET

from inference.policy.policy import DECISIONS
from inference.routing.arm import FAILURES
from inference.routing.verdicts import Verdicts
from inference.serving.explanation_seam import ScoreExplanation
from inference.serving.score_record import Score, Timings
from streams.base.clock import now_ms
from streams.features.feature_rows import FeatureRows
from streams.intake.input_batch import InputBatch
from streams.kafka.message import Header
from streams.transactions.outcome import Outgoing

DEADLINE = "deadline"
_FALLBACK = (UNSET, DEADLINE)
_STOOD_IN = (UNSET, *FAILURES)


def score_records(
    topic: str,
    encode: Callable[[Score], bytes],
    work: InputBatch,
    rows: FeatureRows,
    verdicts: Verdicts,
    *,
    feature_schema: str,
    stages: Mapping[str, float],
    attached: Mapping[int, ScoreExplanation],
    headers: Sequence[list[Header] | None] | None = None,
) -> Outgoing:
    """One record for each event, in their order.

    Args:
        stages: seconds that each took.
        attached: reasons, by the event's place.
        headers: see `Outgoing`.
    """
    timings = Timings(
        scored=now_ms(),
        batch=len(work.events),
        **{f"{stage}_us": round(seconds * 1e6) for stage, seconds in stages.items()},
    )
    # Column by column with C loops only: this is the most frequent code of all.
    records = map(
        Score,
        work.events.ids,
        work.events.keys,
        work.events.times.tolist(),
        *(column.tolist() for column in verdicts.outputs),
        map(DECISIONS.__getitem__, verdicts.decisions.tolist()),
        *_answerers(verdicts),
        repeat(feature_schema),
        work.arrived.tolist(),
        repeat(timings),
        rows.late.tolist(),
        rows.approximate.tolist(),
        *_arms(verdicts),
        *_seldom(verdicts, attached, len(work.events)),
    )
    return Outgoing(
        topic=topic,
        values=list(map(encode, records)),
        keys=list(map(str.encode, map(str, work.events.keys))),
        partitions=work.partitions.tolist(),
        headers=headers,
    )


def _answerers(verdicts: Verdicts) -> list[Iterable[Any]]:
    """Model and policy."""
    if verdicts.routed:
        return [verdicts.models(), verdicts.policies()]
    champion = verdicts.routes.served[0]
    return [repeat(champion.model), repeat(champion.policy.version)]


def _arms(verdicts: Verdicts) -> list[Iterable[Any]]:
    """Arm and share."""
    routes = verdicts.routes
    if not verdicts.routed:
        return [repeat(routes.names[0]), repeat(1.0)]
    arms = verdicts.arm.tolist()
    return [
        map(routes.names.__getitem__, arms),
        map(routes.shares.astype(float).tolist().__getitem__, arms),
    ]


def _seldom(
    verdicts: Verdicts, attached: Mapping[int, ScoreExplanation], count: int
) -> list[Iterable[Any]]:
    """The last columns, as many as are needed."""
    failed, chances = verdicts.failure.any(), verdicts.approve_through
    held = chances is not None and not np.isnan(chances).all()
    if not (held or failed or attached or verdicts.fallback.any()):
        return []
    columns: list[Iterable[Any]] = [map(_FALLBACK.__getitem__, verdicts.fallback.tolist())]
    if held or failed or attached:
        columns.append(attached.get(i, UNSET) for i in range(count))
    if held or failed:
        columns.append(map(_STOOD_IN.__getitem__, verdicts.failure.tolist()))
    if held and chances is not None:
        columns.append(UNSET if each != each else each for each in chances.tolist())
    return columns
