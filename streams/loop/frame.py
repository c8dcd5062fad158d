"""What the loops of both topologies share: how a run begins and ends, and when it is ready."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from threading import Event

from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import ClusterWatch
from streams.kafka.partition import PartitionId, PartitionIds
from streams.kafka.topics.topic_watch import TopicState, TopicWatch
from streams.loop.group_member import GroupMember
from streams.loop.growth import Growth
from streams.loop.position_check import Believed, PositionCheck
from streams.loop.rivals import Rivals
from streams.loop.settings import LoopSettings
from streams.transactions.transactor import Transactor

_SPARE_S = 10.0


class LoopFrame(ABC):
    """A loop that reads as a member of a group and commits as one transactional id.

    Args:
        position_log, tolerant, remedy: see `PositionCheck`.
        widen: called when a topic that is read has got partitions: gives those that are written to
            as many.
        writes: topics that answers go to: without one of them nothing can be committed.
    """

    # These four from `run` on.
    _transactor: Transactor
    _believed: Believed
    _member: GroupMember
    _growth: Growth

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: LoopSettings,
        *,
        position_log: str,
        tolerant: bool,
        remedy: str,
        widen: Callable[[], None],
        writes: Sequence[str],
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._position_log = position_log
        self._tolerant = tolerant
        self._remedy = remedy
        self._widen = widen
        self._writes = writes
        self._watch = ClusterWatch(kafka)
        self._at_work = False

    def run(self, stop: Event) -> None:
        """Run until `stop` is set, then finish the transaction at hand and leave the group.

        Raises:
            FencedError: another process has taken over; nothing of ours was committed since.
            OutlivedError: a transaction took too long; a new start fixes it.
            StoppedError: the transaction at hand does not end.
            PositionLostError: where the group was is no place in a topic any more.
            MissingHistoryError: input has expired that was not answered, or that the state needs.
            KafkaException: the cluster failed in a way that a new attempt can't fix.
        """
        settings = self._settings
        rivals = Rivals.of(self._kafka, settings)
        self._transactor = Transactor(
            self._kafka,
            settings.transactional_id(),
            settings.transaction_timeout,
            stop,
            watch=self._watch,
            successor=rivals.successor,
        )
        # First of all: this ends what a killed predecessor left open, so that the offsets and the
        # history read afterwards are final.
        self._transactor.start()
        topics = TopicWatch(self._kafka, self._checked(stop), self._writes)
        self._growth = Growth(topics, self._widen)
        self._growth.begin()
        self._before_joining(stop)
        self._member = GroupMember(
            self._kafka,
            settings,
            self._topics,
            rivals=rivals,
            watch=self._watch,
            assigned=self._on_assigned,
            revoked=self._on_revoked,
            lost=self._on_lost,
        )
        self._open()
        self._at_work = True
        try:
            self._loop(stop)
            self._settle(wait=True)
        finally:
            self._at_work = False
            self._transactor.close()
            self._close()
            self._member.close()
            self._growth.close()
            self._watch.close()

    def _checked(self, stop: Event) -> Mapping[str, TopicState]:
        """What the topics are that are read, once the group's offsets can be believed."""
        settings = self._settings
        check = PositionCheck(
            self._kafka,
            group=settings.group,
            topics=self._topics,
            log_topic=self._position_log,
            longest_transaction_s=settings.transaction_timeout / 1_000 + _SPARE_S,
            tolerant=self._tolerant,
            remedy=self._remedy,
            refuse_expired=False,
            alone=settings.topology == "fused",
        )
        check.run(stop, settings.session_timeout / 1_000 + _SPARE_S)
        self._transactor.log_to(check.log)
        self._believed = check.believed
        return check.states

    def waits_for(self) -> list[str]:
        """Why nothing is answered now, in words; nothing where it is. Any thread may ask."""
        if not self._at_work:
            return ["ending what a predecessor left open, or stopped"]
        reasons: dict[str, bool] = {
            "Kafka does not answer": self._watch.away,
            "a topic has got partitions that are not read yet": self._growth.due,
            **{f"topic {name!r} does not exist": True for name in sorted(self._growth.gone)},
            "a transaction takes longer than any should": self._transactor.late,
            "partitions of ours are to come, or their state is restored": not self._complete,
        }
        return [reason for reason, holds in reasons.items() if holds]

    @property
    def ready(self) -> bool:
        """Whether what comes is answered: there is nothing to wait for. Any thread may ask."""
        return not self.waits_for()

    @abstractmethod
    def lag(self) -> dict[PartitionId, int]:
        """Records of each partition that were not answered a moment ago; any thread may ask."""

    @property
    @abstractmethod
    def _topics(self) -> list[str]:
        """What is read."""

    @property
    @abstractmethod
    def _complete(self) -> bool:
        """Whether our share of the partitions is known, and its state complete."""

    def _before_joining(self, stop: Event) -> None:  # noqa: B027
        """Return when the group may be joined, or `stop` is set."""

    @abstractmethod
    def _open(self) -> None:
        """Make what a run needs besides, before the group gives us partitions."""

    @abstractmethod
    def _close(self) -> None:
        """End it, when nothing is in flight any more."""

    @abstractmethod
    def _loop(self, stop: Event) -> None:
        """Read and answer until `stop` is set."""

    @abstractmethod
    def _settle(self, *, wait: bool) -> object:
        """Take note of what became of the transaction in flight."""

    @abstractmethod
    def _on_assigned(self, places: PartitionIds) -> None:
        """Partitions have come."""

    @abstractmethod
    def _on_revoked(self, places: PartitionIds) -> None:
        """Partitions go; until this returns, their offsets can be committed."""

    @abstractmethod
    def _on_lost(self, places: PartitionIds) -> None:
        """Partitions are gone already."""
