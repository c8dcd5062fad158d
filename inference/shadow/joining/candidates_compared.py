"""Two candidates beside each other, by all that stands on the topic of shadow scores."""

import msgspec
from msgspec import UNSET

from inference.policy.policy import CODES, DECLINE
from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.rows import NothingToCompareError
from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.in_memory import InMemoryJoin, Progress
from inference.shadow.shadow_record import ShadowScore
from streams.feature_log import CHAMPION_ARM
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.weir_topics import TopicSettings


def candidates_compared(
    kafka: KafkaSettings,
    topics: TopicSettings,
    terms: Terms,
    first: str,
    second: str,
    progress: Progress = lambda done, total: None,
) -> Gathered:
    """The second candidate beside the first, which takes the champion's place.

    Events that the champion declined are left out, and counted as ``declined``: their truth is
    hidden from both.

    Raises:
        NothingToCompareError: they have never answered the same event.
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    join = InMemoryJoin(second, terms)
    decode = msgspec.json.Decoder(ShadowScore).decode
    declined = 0
    for batch in read_to_end(kafka, topics.shadow_scores, progress):
        scores = []
        for message in batch:
            try:
                score = decode(message.value() or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if first in score.candidates and second in score.candidates:
                if score.arm == CHAMPION_ARM and CODES.get(score.decision) == DECLINE:
                    declined += 1
                else:
                    scores.append(_beside(score, first, second))
        join.arrive(scores)
    if not join.has_pairs:
        raise NothingToCompareError(
            f"candidates {first!r} and {second!r} have never answered the same event on "
            f"{topics.shadow_scores!r}, of those that the champion did not decline"
        )
    join.leave_out({"declined": declined})
    return join.judge(kafka, topics.labels, progress)


def _beside(score: ShadowScore, first: str, second: str) -> ShadowScore:
    """A shadow score with one candidate in the champion's place, and the other alone."""
    said = score.candidates[first]
    return msgspec.structs.replace(
        score,
        model=said.model,
        policy=said.policy,
        score=said.score,
        probability=said.probability,
        anomaly=said.anomaly,
        decision=said.decision or "",
        fallback=False,
        approve_through=UNSET,
        candidates={second: score.candidates[second]},
    )
