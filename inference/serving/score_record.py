"""One record of the scores topic."""

import msgspec

from inference.serving.explanation_seam import ScoreExplanation


class Timings(msgspec.Struct, gc=False):
    """When and how fast a batch of events was answered."""

    scored: int
    batch: int
    decode_us: int
    features_us: int
    inference_us: int


class Score(msgspec.Struct, gc=False):
    """One record of ``weir.scores``; times are UTC milliseconds.

    ``arrived`` is the event's Kafka timestamp; ``late`` and ``approximate`` say that its windows
    may not be whole, see `streams.features.FeatureRows`. Where ``fallback`` gives a reason, the
    policy's fallback answered, and there is no score. ``explanation`` is there where decisions are
    explained inline. ``arm`` is the one that the key belongs to, with its ``share`` of the keys;
    where ``stood_in`` says why that one gave no answer, the champion's model answered. What the
    champion would decline has ``approve_through`` where that is on: the chance with which it is
    approved nevertheless. So ``approve`` beside it was let through on purpose.
    """

    event_id: int | str
    key: int | str
    event_time: int
    score: float | None
    probability: float | None
    anomaly: float | None
    decision: str
    model: str
    policy: str
    feature_schema: str
    arrived: int
    timings: Timings
    late: bool = False
    approximate: bool = False
    arm: str = "champion"
    share: float = 1.0
    fallback: str | msgspec.UnsetType = msgspec.UNSET
    explanation: ScoreExplanation | msgspec.UnsetType = msgspec.UNSET
    stood_in: str | msgspec.UnsetType = msgspec.UNSET
    approve_through: float | msgspec.UnsetType = msgspec.UNSET
