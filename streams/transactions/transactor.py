"""Kafka transactions, one at a time, each in a thread of its own.

While one transaction is written and committed, which is mostly waiting for the broker, the next
batch can be computed. Its answers are handed over only when the one before has been settled.

A producer that was fenced off, or one of whose calls does not come back, is replaced by a new one
with the same transactional id, unless a successor has that id now.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from math import inf
from threading import Event
from time import monotonic
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from streams.base.bounded_calls import StoppedError, comes_back, in_thread
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import ClusterWatch
from streams.transactions.call_watch import OVERDUE_S, CallWatch
from streams.transactions.errors import OutlivedError, overdue
from streams.transactions.outcome import Aborted, Committed, Outgoing
from streams.transactions.position_log import PositionLog
from streams.transactions.successor import Successor
from streams.transactions.transactional_producer import TransactionalProducer

_LATE_S = 5.0
_GRACE_S = 2.0
_LOOK_S = 0.1
_MOST_ABANDONED = 10


class Transactor:
    """Writes answers and input offsets as transactions of one transactional id.

    Args:
        timeout_ms: how long a transaction may take.
        stop: once it is set, no call is waited for longer than a few seconds.
        watch: knows whether the cluster is away; without one, the producer's own complaints tell.
        successor: whether a process that started later has this transactional id now, or shows up
            within so many seconds; None where nobody else may have it, so that to be fenced off
            means that somebody has it by mistake.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        transactional_id: str,
        timeout_ms: int,
        stop: Event,
        *,
        watch: ClusterWatch | None = None,
        successor: Callable[[float], bool] | None = None,
    ) -> None:
        self._timeout_s = timeout_ms / 1_000
        self._watch = watch or ClusterWatch(kafka)
        self._stop = stop
        self._calls = CallWatch(self._timeout_s, self._watch)
        self._producer = TransactionalProducer(
            kafka,
            transactional_id,
            timeout_ms,
            stop,
            watch=self._watch,
            calls=self._calls,
            successor=Successor(transactional_id, successor),
        )
        self._submitted_at = inf
        self._abandoned: list[tuple[Future[Any], object]] = []
        self._in_flight: Future[Committed | Aborted] | None = None

    def log_to(self, log: PositionLog | None, *, shared: bool = False) -> None:
        """Write positions there, too, with all that is submitted from now on.

        Args:
            shared: whether the group has members with transactional ids of their own.
        """
        self._producer.position_log = log
        self._producer.shared = shared

    def start(self) -> None:
        """End what a killed predecessor left open, and fence it off.

        Raises:
            OutlivedError: the call does not come back; a new start fixes it.
            StoppedError: it does not come back, and we are told to stop.
            KafkaException: the cluster does not let us, or does not answer in time.
        """
        within_s = self._timeout_s + OVERDUE_S
        called = in_thread(self._producer.start, self._timeout_s)
        if not comes_back(called, within_s, self._stop):
            self._give_up_if_stopped()
            raise OutlivedError.overdue(within_s)
        called.result()

    @property
    def busy(self) -> bool:
        """Whether a transaction is still on its way."""
        return self._in_flight is not None and not self._in_flight.done()

    @property
    def late(self) -> bool:
        """Whether it is on its way for longer than any should be; any thread may ask."""
        return self.busy and monotonic() - self._submitted_at > _LATE_S

    def submit(
        self, answers: Sequence[Outgoing], positions: list[TopicPartition], group: Any
    ) -> None:
        """Begin a transaction of answers and input offsets; the one before must be settled."""
        self._begin(self._producer.transact, answers, positions, group)

    def probe(self, position: TopicPartition, group: Any) -> None:
        """Find out whether this transactional id is still ours; leaves no trace.

        Args:
            position: of a partition that the group has given to us.

        Raises:
            Exception: as for `settle`.
        """
        self._begin(self._producer.try_out, position, group)
        self.settle(wait=True)

    def _begin(self, call: Callable[..., Committed | Aborted], *args: Any) -> None:
        assert self._in_flight is None, "settle the transaction before first"
        self._submitted_at = monotonic()
        self._calls.begun()
        self._in_flight = in_thread(call, self._producer.client, *args)

    def settle(self, *, wait: bool) -> Committed | Aborted | None:
        """What became of the transaction in flight; None without one, or if it is still on its way.

        It is on its way for as long as the cluster is away.

        Raises:
            FencedError: another process has taken over; nothing of ours was committed since.
            OutlivedError: it took too long, or calls of the client don't come back, again and
                again; a new start fixes it.
            StoppedError: it is still on its way, and we are told to stop. Whoever starts next
                under this transactional id ends it, or the cluster when its time is over.
            KafkaException: it failed in a way that a new attempt can't fix.
        """
        while self._in_flight is not None:
            if self._in_flight.done():
                in_flight, self._in_flight = self._in_flight, None
                return in_flight.result()
            if self.late:
                with suppress(KafkaException, SystemError):  # a fatal one, which the call has too
                    self._producer.client.poll(0)  # what the client has to say of its connections
            if (seconds := self._calls.overdue_s()) is not None:
                self._in_flight = self._abandon(self._in_flight, seconds)
            elif not wait:
                return None
            elif not self._stop.is_set():
                wait_for([self._in_flight], _LOOK_S)
            elif not comes_back(self._in_flight, inf, self._stop):
                self._give_up_if_stopped()
        return None

    def _give_up_if_stopped(self) -> None:
        if self._stop.is_set():
            self._in_flight = None
            raise StoppedError("stopped while Kafka's client waits for the cluster")

    def _abandon(self, hangs: "Future[Any]", seconds: float) -> "Future[Committed | Aborted]":
        # Kept, since the client waits for the call before it forgets a producer.
        self._abandoned = [each for each in self._abandoned if not each[0].done()]
        self._abandoned.append((hangs, self._producer.client))
        if len(self._abandoned) > _MOST_ABANDONED:
            self._in_flight = None
            raise OutlivedError(
                "several calls of Kafka's client have not come back: start this process again"
            )
        # A new producer is waited for as patiently as the cluster may take to know it.
        self._calls.begun()
        self._calls.sound()
        return in_thread(self._replace_hanging, hangs, seconds)

    def _replace_hanging(
        self, hangs: "Future[Committed | Aborted]", seconds: float
    ) -> Committed | Aborted:
        """Fence off our own producer, one of whose calls does not come back, with a new one.

        What became of the transaction is final then; if it was about to end, it may have been
        committed.
        """
        wait_for([hangs], _GRACE_S)  # this process may have been stopped for long
        if hangs.done():
            return hangs.result()
        self._producer.replace()
        return Aborted(overdue(seconds))

    def close(self) -> None:
        """Wait for an unsettled transaction to run to its end, unless it hangs."""
        if self._in_flight is not None:
            comes_back(self._in_flight, self._calls.patience_s, self._stop)
