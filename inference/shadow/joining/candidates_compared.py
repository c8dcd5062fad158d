"""Two candidates beside each other, by all that stands on the topic of shadow scores."""

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from inference.policy.policy import CODES, DECLINE
from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.rows import NothingToCompareError
from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.gathering import gather
from inference.shadow.joining.label_feed import LabelFeed
from inference.shadow.joining.partition_join import PartitionJoin
from inference.shadow.shadow_record import ShadowScore
from streams.feature_log import CHAMPION_ARM
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.stateless.keyed_state import PartitionState

Progress = Callable[[int, int], None]


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
    state = PartitionState({})
    join = PartitionJoin(state, 0, 1, terms)
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
        state.commit()
    if second not in join.candidates:
        raise NothingToCompareError(
            f"candidates {first!r} and {second!r} have never answered the same event on "
            f"{topics.shadow_scores!r}, of those that the champion did not decline"
        )
    join.candidates[second].leave_out({"declined": declined})
    with LabelFeed(kafka, topics.labels) as labels:
        while not labels.hear({0: join}):
            progress(*labels.read)
    join.mature()
    return gather(second, [state.items()], terms)


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
