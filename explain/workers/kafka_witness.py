"""Kafka as a witness: how far the store was stands beside the offsets that the sink commits.

If the settings name a topic for it, the anchors stand there, too: see `WitnessTopic`.
"""

import logging
from collections.abc import Iterable
from threading import Event

from confluent_kafka import KafkaException, TopicPartition

from explain.store.appending import Appender
from explain.store.errors import StoreUnavailableError, TamperedError
from explain.store.witness import Witness, read_witness
from explain.workers.witness_topic import WitnessTopic
from streams.base.bounded_calls import StoppedError
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import passes
from streams.kafka.group_notes import group_notes, note_again
from streams.kafka.partition import PartitionId
from streams.loop.stateless.group_reader import GroupReader

logger = logging.getLogger(__name__)

_KAFKA_S = 30.0
_AGAIN_S = 1.0


class KafkaWitness:
    """What the sinks of a group note of their store in Kafka, and what follows from it.

    Args:
        topic: of the explanations.
        accepted_by: who goes on over a store that is behind what was noted of it; the store keeps
            the name. Without one, such a store is refused.
        anchors: where the anchors are written besides; None for nowhere.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        group: str,
        topic: str,
        appender: Appender,
        accepted_by: str = "",
        anchors: WitnessTopic | None = None,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topic = topic
        self._appender = appender
        self._accepted_by = accepted_by
        self._anchors = anchors
        self._noted: dict[PartitionId, str] = {}

    def hear(self, stop: Event) -> None:
        """Compare the store with what was noted of it, as soon as both answer, before any write.

        Raises:
            TamperedError: the store is behind, and nobody accepts that.
            StoreError: it can't be written to.
            TopicError: the topic of anchors is not there.
            AuthorizationError, KafkaException: the cluster refuses us, or the group has members,
                and somebody accepts.
        """
        while not stop.is_set():
            try:
                self._compare(stop)
                self.pass_on()
            except StoppedError:
                return
            except StoreUnavailableError as error:
                logger.warning("%s; trying again, records wait in Kafka", error)
            except KafkaException as error:
                if not passes(error):
                    raise
                logger.warning("can't ask what was noted of the store: %s", error.args[0].str())
            else:
                return
            stop.wait(_AGAIN_S)

    def _compare(self, stop: Event) -> None:
        notes = group_notes(self._kafka, self._group, self._topic, _KAFKA_S)
        witnesses = witnesses_in(notes.values())
        if self._anchors is not None:
            told = self._anchors.hear(stop)
            logger.info("%s", told)
            witnesses += told.witnesses
        faults = {each: fault for each in witnesses if (fault := self._appender.behind(each))}
        if not faults:
            return
        furthest = max(faults, key=lambda each: each.anchor)
        fault = faults[furthest]
        if not self._accepted_by:
            raise TamperedError(
                "the store is behind what the sinks of group "
                f"{self._group!r} have noted of it in Kafka, so nothing is written over it: "
                f"{fault}. If nobody knows why, it is evidence: keep it, and see `weir audit "
                "verify`. If you restored a backup, start once with `weir sink --accept-store`, "
                "which writes down in the store who did; to have stored again what Kafka still "
                "has, set the group's offsets back before"
            )
        logger.warning("going on over a store that is behind, for %s: %s", self._accepted_by, fault)
        self._appender.accept(self._accepted_by, furthest)
        now = self._appender.witness().text()
        note_again(self._kafka, self._group, self._topic, now, _KAFKA_S)

    def pass_on(self) -> None:
        """Write the anchors that came since to their topic, if there is one.

        Raises:
            StoreUnavailableError, TamperedError, StoreError: see `WitnessTopic.pass_on`.
        """
        if self._anchors is not None:
            self._anchors.pass_on()

    def close(self) -> None:
        """Let go of the cluster."""
        if self._anchors is not None:
            self._anchors.close()

    def due(self, reader: GroupReader, witness: Witness) -> list[TopicPartition]:
        """Where the group has another note than this yet, in partitions that are ours."""
        text = witness.text()
        return [each for each in reader.committed() if self._noted.get(_place(each)) != text]

    def commit(
        self, reader: GroupReader, positions: Iterable[TopicPartition], witness: Witness
    ) -> None:
        """Commit offsets, and beside them how far the store is, which has what lies before them.

        Raises:
            KafkaException: the group does not take it.
        """
        text = witness.text()
        noted = [
            TopicPartition(each.topic, each.partition, each.offset, text) for each in positions
        ]
        reader.commit(noted)
        self._noted.update((_place(each), text) for each in noted)


def witnesses_in(notes: Iterable[str]) -> list[Witness]:
    """The witnesses among some notes, each once."""
    return list({each for each in map(read_witness, notes) if each is not None})


def _place(partition: TopicPartition) -> PartitionId:
    return partition.topic, partition.partition
