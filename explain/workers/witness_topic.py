"""A topic as a witness: the signed anchors of a store, in the order in which they were signed."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Event
from time import monotonic

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from sqlalchemy import Connection, func, select

from explain.store.anchors import SignedAnchor, export_line, parse_line, stored_anchors
from explain.store.database import Database
from explain.store.keys import Trusted
from explain.store.tables import acts, anchors, as_stored, rows_with
from explain.store.witness import Witness, witness_by
from streams.base.bounded_calls import StoppedError
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import Publisher, PublishError
from streams.kafka.topics.topic_partitions import TopicError, partitions_of, wait_until_known
from streams.kafka.topics.weir_topics import make_topics

logger = logging.getLogger(__name__)

_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": "2097152",
}
_SILENT_S = 30.0
_FLUSH_S = 10.0
"""Whoever waits for a signature waits for this, too."""
_SENT = 1_000


@dataclass(frozen=True)
class Told:
    """What a topic says of a store.

    Attributes:
        witnesses: the newest anchor that the store has, too; then those that it lacks or has with
            another hash, in the topic's order.
        passed_over: records that are no anchor which a trusted key signed.
        accepted: anchors that the store lacks, and that it went on without because somebody
            accepted that.
    """

    topic: str
    witnesses: tuple[Witness, ...]
    passed_over: int
    accepted: int

    def __str__(self) -> str:
        last = max((each.anchor for each in self.witnesses), default=0)
        said = [f"topic {self.topic!r} " + (f"witnesses anchor {last:,}" if last else "has none")]
        if self.accepted:
            said.append(
                f"{self.accepted:,} anchors in it are from before somebody accepted the store "
                "(`weir audit log`)"
            )
        if self.passed_over:
            said.append(f"{self.passed_over:,} records in it are not signed by a trusted key")
        return "; ".join(said)


class WitnessTopic:
    """The topic that the sinks of a store write its anchors to, and who compares reads.

    Args:
        trusted: the keys whose anchors count. Who writes to the topic without one of them can say
            nothing.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, database: Database, trusted: Trusted
    ) -> None:
        self._kafka = kafka
        # An open transaction of whoever may write there must not hide what stands behind it.
        seen = kafka.consumer | {"isolation.level": "read_uncommitted"}
        self._reading = kafka.model_copy(update={"consumer": seen})
        self._topic = topic
        self._database = database
        self._trusted = trusted
        self._sent = 0
        self._publisher: Publisher | None = None  # it takes half a second to make one

    def hear(self, stop: Event) -> Told:
        """Read all of it, and compare with the store, which has had all that stands there.

        Memory does not grow with what the store has.

        Raises:
            StoppedError: `stop` was set meanwhile.
            TopicError: it is not there.
            AuthorizationError, KafkaException: the cluster does not let us, or does not answer.
            StoreUnavailableError, StoreError: the database failed.
        """
        comparison: _Comparison | None = None
        try:
            for batch in read_to_end(self._reading, self._topic, _Patience(stop).note):
                with self._database.reading() as connection:
                    # Not before: an act that is accepted stands in the store before its anchor
                    # does in the topic.
                    comparison = comparison or _Comparison(connection, self._trusted)
                    comparison.add(connection, [each.value() or b"" for each in batch])
        except ValueError as error:
            raise TopicError(f"store.witness_topic: {error}") from error
        if comparison is None:
            return Told(self._topic, (), 0, 0)
        same = comparison.newest
        self._sent = 0 if same is None else same.anchor
        witnesses = ([] if same is None else [same]) + list(comparison.lacking.values())
        accepted = len(comparison.accepted)
        return Told(self._topic, tuple(witnesses), comparison.passed_over, accepted)

    def pass_on(self) -> None:
        """Write there the anchors that came since, whoever signed them.

        Where the cluster does not take them, the next call does it; some may stand there twice.

        Raises:
            TamperedError: one is no anchor any more.
            StoreUnavailableError, StoreError: the database failed.
        """
        while due := self._due():
            try:
                self._publisher = self._publisher or Publisher(self._kafka)
                for each in due:
                    self._publisher.send(self._topic, export_line(each).rstrip(), partition=0)
                self._publisher.flush(_FLUSH_S)
            except PublishError as error:
                logger.warning("can't write anchors to %r yet: %s", self._topic, error)
                self._close(error)
                return
            self._sent = due[-1].anchor.number

    def close(self) -> None:
        """Let go of the cluster; `pass_on` would reach it again."""
        self._close(None)

    def _close(self, error: Exception | None) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            # With an error it gives up what waits, and does not wait for it.
            publisher.__exit__(None if error is None else type(error), error, None)

    def _due(self) -> list[SignedAnchor]:
        with self._database.reading() as connection:
            return list(islice(stored_anchors(connection, self._sent), _SENT))


class _Comparison:
    """Holds what a topic has, in its order, against a store.

    An anchor that the store does not have is a fault, unless behind it in the topic comes the first
    anchor of the store that vouches for an act of who accepted that.

    Attributes:
        newest: of the anchors that the store has, too.
        lacking: those that it does not have, by hash.
        accepted: hashes of those that somebody accepted to lack.
        passed_over: how many records are no anchors that count.
    """

    def __init__(self, connection: Connection, trusted: Trusted) -> None:
        chosen = select(acts.c.sequence).where(acts.c.kind == "accept").order_by(acts.c.sequence)
        self._accepts = list(connection.execute(chosen).scalars())
        self._trusted = trusted
        self.newest: Witness | None = None
        self.lacking: dict[bytes, Witness] = {}
        self.accepted: set[bytes] = set()
        self.passed_over = 0

    def add(self, connection: Connection, lines: Iterable[bytes]) -> None:
        """Compare further records."""
        read = [_anchor_in(line) for line in lines]
        signed = [each for each in read if each is not None]
        self.passed_over += len(read) - len(signed)
        stored = _bodies(connection, [each.anchor.number for each in signed])
        for each in signed:
            if stored.get(each.anchor.number) == each.body:
                self._add_same(each)
            else:
                self._add_other(each)

    def _add_same(self, signed: SignedAnchor) -> None:
        if self.newest is None or signed.anchor.number > self.newest.anchor:
            self.newest = witness_by(signed)
        # By the first anchor only: it may be written again, by anybody, behind what came later.
        if self._accepts and signed.anchor.acts.sequence >= self._accepts[0]:
            self._accepts = [each for each in self._accepts if each > signed.anchor.acts.sequence]
            self.accepted |= self.lacking.keys()
            self.lacking.clear()

    def _add_other(self, signed: SignedAnchor) -> None:
        name = hashlib.sha256(signed.body).digest()
        if name in self.lacking or name in self.accepted:
            return
        anchor, trusted = signed.anchor, self._trusted
        if (
            anchor.key in trusted
            and trusted.signed(anchor.key, signed.body, signed.signature)
            and trusted.refusal(anchor.key, anchor.number, anchor.time) is None
        ):
            self.lacking[name] = witness_by(signed)
        else:
            self.passed_over += 1


class _Patience:
    """Ends reading once we are stopped, or nothing comes for long."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._done = 0
        self._since = monotonic()

    def note(self, done: int, total: int) -> None:
        """Learn how far reading is.

        Raises:
            StoppedError, KafkaException: it ends here.
        """
        if self._stop.is_set():
            raise StoppedError("stopped while the anchors in Kafka were read")
        if done > self._done:
            self._done, self._since = done, monotonic()
        elif monotonic() - self._since > _SILENT_S:
            said = f"nothing came for {_SILENT_S:.0f} s, after {done:,} of {total:,} anchors"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, said))


def ensure_witness_topic(admin: AdminClient, name: str, replication_factor: int) -> list[str]:
    """Make the topic if it is missing, which keeps all for good; its name, if it was made.

    Raises:
        TopicError: it can't be made.
        AuthorizationError: we may not make it, or see it.
    """
    if partitions_of(admin, [name]):
        return []
    made = make_topics(admin, {name: _CONFIG}, 1, replication_factor)
    wait_until_known(admin, [name])
    return made


def _anchor_in(line: bytes) -> SignedAnchor | None:
    try:
        return parse_line(line)
    except ValueError:
        return None


def _bodies(connection: Connection, numbers: Sequence[int]) -> dict[int, object]:
    """The bytes of the store's anchors of these numbers."""
    last = connection.execute(select(func.max(anchors.c.number))).scalar() or 0
    ours = sorted({each for each in numbers if 0 < each <= last})
    rows = rows_with(connection, anchors.c.number, ours, as_stored(anchors))
    return {row.number: row.body for row in rows}
