"""From a table of the feature log, and what candidates answered, to shadow scores."""

from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

import pyarrow as pa
from msgspec import UNSET

from inference.engine.protocol import Outputs
from inference.policy.policy import DECISIONS, Policy
from inference.shadow.shadow_record import CandidateScore, ShadowScore
from streams.feature_log import approve_through_of

_LONGEST_ERROR = 200


def candidate_scores(
    model: str, policy: Policy, outputs: Outputs | str, count: int
) -> list[CandidateScore]:
    """What a candidate says of n events, or why it says nothing, (n,)."""
    if isinstance(outputs, str):
        return [CandidateScore(model, policy.version, error=outputs[:_LONGEST_ERROR])] * count
    columns: list[list[Any]] = [column.tolist() for column in outputs]
    decided = policy.decide(outputs).tolist()
    return list(
        map(
            CandidateScore,
            repeat(model),
            repeat(policy.version),
            *columns,
            map(DECISIONS.__getitem__, decided),
        )
    )


def shadow_scores(
    table: pa.Table, partition: int, *, policy: str, kept: float = 1.0
) -> list[ShadowScore]:
    """What the champion said, as the feature log has it, with no candidates beside it yet.

    Args:
        table: n rows; see `streams.feature_log.read_feature_log`.
        partition: of the events.
        policy: version of the one that decided.
        kept: see `ShadowScore`.
    """
    return list(
        map(
            ShadowScore,
            table["event_id"].to_pylist(),
            table["key"].to_pylist(),
            table["event_time"].cast(pa.int64()).to_pylist(),
            repeat(partition),
            table["offset"].to_pylist(),
            table["model"].to_pylist(),
            repeat(policy),
            *(table[name].to_pylist() for name in ("arm", "share", "propensity")),
            *(table[name].to_pylist() for name in ("score", "probability", "anomaly")),
            table["decision"].to_pylist(),
            table["fallback"].to_pylist(),
            table["context"].to_pylist(),
            repeat(kept),
            [{} for _ in range(table.num_rows)],
            (UNSET if each is None else each for each in approve_through_of(table)),
        )
    )


def add_candidates(
    scores: Iterable[ShadowScore], candidates: Mapping[str, list[CandidateScore]]
) -> None:
    """Put what candidates say, by name, beside n scores."""
    for name, said in candidates.items():
        for score, own in zip(scores, said, strict=True):
            score.candidates[name] = own


def policy_of(table: pa.Table) -> str:
    """Version of the policy that the champion decided by."""
    version: bytes = (table.schema.metadata or {}).get(b"weir.policy", b"")
    return version.decode()
