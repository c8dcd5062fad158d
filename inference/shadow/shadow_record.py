"""One record of the topic of shadow scores: what the champion said of an event, and the others."""

from typing import Any

import msgspec


class CandidateScore(msgspec.Struct, gc=False, omit_defaults=True):
    """What one candidate says; with an `error`, and nothing else, where it gave no answer.

    A score is None where the candidate answered with no number.
    """

    model: str
    policy: str
    score: float | None = None
    probability: float | None = None
    anomaly: float | None = None
    decision: str | None = None
    error: str | None = None


class ShadowScore(msgspec.Struct, gc=False):
    """One record of ``weir.shadow-scores``, keyed by the event's id.

    Attributes:
        event_time: UTC milliseconds.
        partition, offset: of the event, in the events topic.
        model, policy, arm, share, propensity, score, probability, anomaly, decision, fallback: what
            answered the event, as the feature log has it.
        context: the fields of the event that go along.
        kept: the share of events that were scored then; below 1 while the shadow lags.
        candidates: by name; only those that were asked.
        approve_through: the chance with which a would-be decline of the champion is approved, as
            the feature log has it; it is one only where this is set, whatever `decision` says.
    """

    event_id: int | str
    key: int | str
    event_time: int
    partition: int
    offset: int
    model: str
    policy: str
    arm: str
    share: float
    propensity: float
    score: float | None
    probability: float | None
    anomaly: float | None
    decision: str
    fallback: bool
    context: dict[str, Any]
    kept: float
    candidates: dict[str, CandidateScore]
    approve_through: float | msgspec.UnsetType = msgspec.UNSET
