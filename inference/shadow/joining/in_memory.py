"""The second stage of the shadow on what is not the stream: one partition, in memory."""

from collections.abc import Callable, Mapping, Sequence

from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.gathering import gather
from inference.shadow.joining.label_feed import LabelFeed
from inference.shadow.joining.partition_join import PartitionJoin
from inference.shadow.shadow_record import ShadowScore
from streams.kafka.client import KafkaSettings
from streams.loop.stateless.keyed_state import PartitionState

Progress = Callable[[int, int], None]


class InMemoryJoin:
    """All events first, then all labels.

    Args:
        name: of the candidate that it is about.
    """

    def __init__(self, name: str, terms: Terms) -> None:
        self._name = name
        self._terms = terms
        self._state = PartitionState({})
        self._join = PartitionJoin(self._state, 0, 1, terms)

    @property
    def has_pairs(self) -> bool:
        """Whether the candidate has said anything."""
        return self._name in self._join.candidates

    def arrive(self, scores: Sequence[ShadowScore]) -> None:
        """Take in further shadow scores."""
        self._join.arrive(scores)
        self._state.commit()

    def leave_out(self, counts: Mapping[str, int]) -> None:
        """Count events that are no pairs, by why."""
        self._join.candidates[self._name].leave_out(counts)

    def judge(
        self, kafka: KafkaSettings, topic: str, progress: Progress = lambda done, total: None
    ) -> Gathered:
        """What comes of it by the labels that stand there now.

        Raises:
            TopicError: there is no such topic.
            KafkaException: the cluster failed.
        """
        with LabelFeed(kafka, topic) as labels:
            while not labels.hear({0: self._join}):
                progress(*labels.read)
        self._join.mature()
        self._join.write()
        return gather(self._name, [self._state.items()], self._terms)
