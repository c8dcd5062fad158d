"""Checking that a group's offsets are where it really was: at a start, and for each partition.

Kafka's offsets are believed by whoever reads on from them, and they can be gone (a group's offsets
expire a week after its last member has left), or be old ones (of a group coordinator that lost the
last ones with its broker), or be of a topic that was deleted and made anew, or lie behind the end
of a log that was truncated. To read on from the wrong place is to answer events twice, or never. So
they are compared with the group's own log of positions, with the ids of the topics, and with the
ends of the partitions.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.kafka.client import KafkaSettings, watermarks
from streams.kafka.cluster_watch import passes
from streams.kafka.committed_offsets import OffsetAsker
from streams.kafka.partition import PartitionId
from streams.kafka.records.publisher import Publisher
from streams.kafka.topics.topic_watch import PositionLostError, TopicState, topic_states
from streams.transactions.position_log import LoggedPosition, PositionLog
from streams.transactions.position_reader import PositionReader

logger = logging.getLogger(__name__)

_COMMITTED_S = 2.0
_AGAIN_S = 0.5
_NOTICE_S = 10.0
_SPARE_S = 10.0
_IN_USE = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
}


class PositionCheck:
    """Compares what a group has committed with what it logged, and puts back what is missing.

    Args:
        topics: that the group reads.
        log_topic: of the group's log of positions (`streams.transactions.position_log`); empty
            for a group that keeps none, because it may read records again.
        tolerant: go on, with a warning, where positions are lost: at the first record of a topic
            that was made anew, or at the end of one that was truncated.
        remedy: what a user can do about a lost position, in words.
        alone: whether nobody else moves the group's offsets meanwhile.
        longest_transaction_s: see `PositionReader`.
        refuse_expired: whether records that expired unread are a lost position; not where
            restoring a state looks at that.

    Attributes:
        states: of the topics, as they are since `run`.
        log: for the transactions of the group, since `run`; None without one.
    """

    log: PositionLog | None = None

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        group: str,
        topics: Sequence[str],
        log_topic: str,
        longest_transaction_s: float = 60.0,
        tolerant: bool,
        remedy: str = 'start with snapshots.on_missing_history = "warn"',
        refuse_expired: bool = True,
        alone: bool = False,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = topics
        self._log_topic = log_topic
        self._tolerant = tolerant
        self._remedy = remedy
        self._refuse_expired = refuse_expired
        self._alone = alone
        self._longest_transaction_s = longest_transaction_s
        self._reader = PositionReader(kafka, log_topic, group, longest_transaction_s)
        self._logged: dict[PartitionId, LoggedPosition] = {}
        self._must = False  # put something back before the group is joined
        self.states: Mapping[str, TopicState] = {}

    def run(self, stop: Event, patience_s: float) -> None:
        """Check everything; on return the group's offsets can be believed, or `stop` is set.

        Args:
            patience_s: how long the members of before may need to leave the group, where offsets
                have to be put back: the cluster takes them from outside only while it is empty.

        Raises:
            PositionLostError: a position is lost, and we are not tolerant.
            KafkaException: the cluster failed, or others stay in a group that has lost offsets.
        """
        # One that is open hides where the group was last, and has to come to its end.
        deadline = monotonic() + max(patience_s, self._longest_transaction_s + _SPARE_S)
        notice_at = 0.0
        while not stop.is_set():
            try:
                self._look_up()
                corrections = self._judge()
                if not corrections:
                    return
                self._commit(corrections)
            except KafkaException as error:
                in_use = error.args[0].code() in _IN_USE
                if in_use and not self._must:
                    return  # whoever is given such a partition asks `believed`
                waits = in_use or passes(error)
                if not waits or monotonic() > deadline:
                    raise
                if monotonic() > notice_at:
                    notice_at = monotonic() + _NOTICE_S
                    logger.info(
                        "waiting until the offsets of the consumer group %s can be put back: %s",
                        self._group,
                        error.args[0].str(),
                    )
                stop.wait(_AGAIN_S)

    def believed(self, committed: TopicPartition, since: float) -> TopicPartition:
        """Where reading of a partition goes on: at what is committed, or where the log is further.

        For any thread.

        Args:
            since: when the partition was ours at last, seconds of `monotonic`: what its former
                owner did was written to the log before.

        Raises:
            KafkaException: the log can't be read now.
        """
        if not self._log_topic or committed.error is not None:
            return committed
        place = (committed.topic, committed.partition)
        try:
            logged = self._reader.read(since).get(place)
        except ValueError as error:  # without a log nothing can be committed either
            raise KafkaException(
                KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, str(error))
            ) from error
        if logged is None or logged.topic_id != self.states[place[0]].topic_id:
            return committed
        if committed.offset >= logged.offset:
            return committed
        self._know_all(committed)
        self._tell_behind(committed, logged)
        return TopicPartition(*place, logged.offset, logged.metadata)

    def _look_up(self) -> None:
        self._must = False
        self.states = topic_states(AdminClient(self._kafka.client_config()), self._topics)
        if self._log_topic:
            ids = {name: state.topic_id for name, state in self.states.items()}
            self.log = PositionLog(self._log_topic, self._group, ids)
            self._logged = dict(self._reader.read(monotonic()))

    def _judge(self) -> list[TopicPartition]:
        """The offsets to commit in place of those that can't be believed."""
        corrections = []
        reader = Consumer(self._kafka.consumer_config(group_id=self._group))
        try:
            for place, committed in self._committed().items():
                correction = self._judge_one(place, committed, reader)
                if correction is not None:
                    corrections.append(correction)
        finally:
            reader.close()
        return corrections

    def _committed(self) -> dict[PartitionId, TopicPartition]:
        """What the group has committed of each partition that is certain.

        Of others a transaction is open, so that there is an offset.
        """
        found = {}
        asker = OffsetAsker(self._kafka, self._group)
        try:
            for name, state in self.states.items():
                for partition in range(state.partitions):
                    try:
                        found[name, partition] = asker.committed(name, partition, _COMMITTED_S)
                    except KafkaException as error:
                        if not passes(error):
                            raise
        finally:
            asker.close()
        return found

    def _judge_one(
        self, place: PartitionId, committed: TopicPartition, reader: Consumer
    ) -> TopicPartition | None:
        logged = self._logged.get(place)
        if committed.offset < 0 and logged is None:
            return None  # it is new
        low, high = watermarks(reader, TopicPartition(*place))
        where = _name(committed)
        if logged is not None and logged.topic_id != self.states[place[0]].topic_id:
            self._lost(
                f"topic {place[0]!r} was deleted and made anew since: offset {logged.offset} of "
                f"{where}, where the group {self._group!r} was, is of the old one, and what the "
                "old one had behind it is lost",
                f"{self._remedy}, which begins the new topic at its first record",
                f"at offset {low}",
            )
            stands = committed.offset < 0 or committed.offset == low
            return None if stands else TopicPartition(*place, low)
        behind = logged is not None and committed.offset < logged.offset
        offset = logged.offset if logged is not None and behind else committed.offset
        if offset > high:
            self._lost(
                f"{where} ends at offset {high}, and the group {self._group!r} was at {offset}: "
                f"the partition was truncated, and {offset - high} records that it had answered "
                "are lost",
                f"{self._remedy}, which goes on at the partition's end",
                f"at offset {high}",
            )
            return TopicPartition(*place, high)
        if offset < low and self._refuse_expired:
            self._lost(
                f"{low - offset} records of {where} expired before the group {self._group!r} had "
                "read them",
                f"give the topic a longer retention.ms, and {self._remedy}, which goes on behind "
                "them",
                f"at offset {low}",
            )
            return TopicPartition(*place, low)
        if logged is not None and behind:
            self._know_all(committed)
            self._tell_behind(committed, logged)
            return TopicPartition(*place, logged.offset, logged.metadata)
        if self._alone and logged is not None and committed.offset > logged.offset:
            logger.warning(
                "the consumer group %s is at offset %d of %s, and its last transaction was at %d: "
                "somebody has set it forward, so %d records in between are never answered; to have "
                "them answered, stop, and set it to %d",
                self._group,
                committed.offset,
                where,
                logged.offset,
                committed.offset - logged.offset,
                logged.offset,
            )
        return None

    def _know_all(self, committed: TopicPartition) -> None:
        """See that the log says all that it has to, where the group's own offset is old.

        Raises:
            KafkaException: a transaction that hangs hides the end of the log, and with it where the
                group was last.
        """
        if self._reader.hidden and not self._tolerant:
            raise KafkaException(
                KafkaError(
                    KafkaError._TIMED_OUT,
                    f"the consumer group {self._group} has an old offset of {_name(committed)}, "
                    f"{committed.offset}, and a transaction that hangs in {self._log_topic} hides "
                    "where it was last: reading goes on when that ends, since records would be "
                    "answered twice (see 'Where reading goes on' in docs/operations.md)",
                )
            )

    def _tell_behind(self, committed: TopicPartition, logged: LoggedPosition) -> None:
        where = _name(committed)
        if committed.offset < 0:
            logger.warning(
                "the consumer group %s has lost its offset of %s (Kafka forgets them a week after "
                "the last member has left, or somebody deleted them): going on at %d, as the log "
                "%s says",
                self._group,
                where,
                logged.offset,
                self._log_topic,
            )
            return
        logger.warning(
            "the consumer group %s has an old offset of %s, %d: the log %s says that it answered "
            "up to %d, so reading goes on there (a broker lost what was committed last, or "
            "somebody has set it back: to have records answered again, see 'Where reading goes "
            "on' in docs/operations.md)",
            self._group,
            where,
            committed.offset,
            self._log_topic,
            logged.offset,
        )

    def _lost(self, what: str, remedy: str, instead: str) -> None:
        if not self._tolerant:
            raise PositionLostError(f"{what}. Find out why; then {remedy}")
        self._must = True
        logger.warning("%s; going on %s (snapshots.on_missing_history is warn)", what, instead)

    def _commit(self, corrections: list[TopicPartition]) -> None:
        consumer = Consumer(self._kafka.consumer_config(group_id=self._group))
        try:
            done = consumer.commit(offsets=corrections, asynchronous=False) or []
        finally:
            consumer.close()
        for each in done:
            if each.error is not None:
                raise KafkaException(each.error)
        if self.log is not None and self._must:
            # What goes back on purpose would else be taken for an old offset.
            logged = self.log.of(corrections)
            with Publisher(self._kafka) as publisher:
                for key, value in zip(logged.keys, logged.values, strict=True):
                    publisher.send(logged.topic, value, key)
                publisher.flush()


def _name(place: TopicPartition) -> str:
    return f"{place.topic}[{place.partition}]"


Believed = Callable[[TopicPartition, float], TopicPartition]
