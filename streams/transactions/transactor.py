"""Kafka transactions, one at a time, each in a thread of its own.

While one transaction is written and committed, which is mostly waiting for the broker, the next
batch can be computed. Its answers are handed over only when the one before has been settled.

A producer that was fenced off, or one of whose calls does not come back, is replaced by a new one
with the same transactional id, unless a successor has that id now.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from math import inf
from threading import Event
from time import monotonic, perf_counter
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from streams.base.bounded_calls import StoppedError, comes_back, in_thread
from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import ClusterWatch
from streams.transactions.errors import OutlivedError, overdue
from streams.transactions.outcome import Aborted, Committed, Outgoing
from streams.transactions.position_log import PositionLog
from streams.transactions.producing import produce
from streams.transactions.successor import Successor

logger = logging.getLogger(__name__)

_OVERDUE_S = 5.0
_OVERDUE_AFTER_LOSS_S = 5.0
_LATE_S = 5.0
_GRACE_S = 2.0
_LOOK_S = 0.1
_AGAIN_S = 0.2
_SUCCESSOR_JOINS_S = 3.0
_MOST_ABANDONED = 10
_DENIED_ABORT_S = 5.0
_METADATA_S = 10.0
_REFUSED_RECORDS = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.RECORD_LIST_TOO_LARGE,
}


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
        self._id = transactional_id
        self._timeout_s = timeout_ms / 1_000
        self._watch = watch or ClusterWatch(kafka)
        self._config = kafka.producer_config(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            linger_ms=0,
            # A transaction can begin only when the markers of the one before are written. The
            # default would then sleep 100 ms; this grows to a second where it is an outage.
            retry_backoff_ms=2,
            delivery_report_only_error=True,
        ) | {"on_delivery": self._note_refusal, "error_cb": self._watch.note_error}
        self._stop = stop
        self._successor = Successor(transactional_id, successor)
        self._overdue_s = self._timeout_s / 2 + _OVERDUE_S
        self._begun_at = self._submitted_at = inf
        self._sound_at = monotonic()
        self._abandoned: list[tuple[Future[Any], object]] = []
        self._refused: KafkaError | None = None
        self._in_flight: Future[Committed | Aborted] | None = None
        self._position_log: PositionLog | None = None
        self._producer: Any = Producer(self._config)

    def log_to(self, log: PositionLog | None) -> None:
        """Write positions there, too, with all that is submitted from now on."""
        self._position_log = log

    def start(self) -> None:
        """End what a killed predecessor left open, and fence it off.

        Raises:
            OutlivedError: the call does not come back; a new start fixes it.
            StoppedError: it does not come back, and we are told to stop.
            KafkaException: the cluster does not let us, or does not answer in time.
        """
        deadline = monotonic() + self._timeout_s
        within_s = self._timeout_s + _OVERDUE_S
        called = in_thread(self._patiently, self._producer.init_transactions, deadline)
        if not comes_back(called, within_s, self._stop):
            self._give_up_if_stopped()
            raise OutlivedError.overdue(within_s)
        called.result()

    def _note_refusal(self, error: KafkaError | None, message: object) -> None:
        if error is not None and error.code() in _REFUSED_RECORDS:
            self._refused = error

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
        self._begin(self._transact, answers, positions, group)

    def probe(self, position: TopicPartition, group: Any) -> None:
        """Find out whether this transactional id is still ours; leaves no trace.

        Args:
            position: of a partition that the group has given to us.

        Raises:
            Exception: as for `settle`.
        """
        self._begin(self._try_out, position, group)
        self.settle(wait=True)

    def _begin(self, call: Callable[..., Committed | Aborted], *args: Any) -> None:
        assert self._in_flight is None, "settle the transaction before first"
        self._begun_at = self._submitted_at = monotonic()
        self._in_flight = in_thread(call, self._producer, *args)

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
                    self._producer.poll(0)  # what the client has to say of its connections
            if (seconds := self._overdue()) is not None:
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

    def _overdue(self) -> float | None:
        """For how many seconds a call did not come back though it should have; None if it may.

        The client forgets the timeout that it was given where a connection breaks in the midst of
        sending offsets (librdkafka issue 5456), so where one was lost there is less to hope for.
        """
        if self._watch.away:
            return None
        waited_s = monotonic() - max(self._begun_at, self._watch.lost_at)
        patience_s = self._overdue_s
        if self._watch.lost_at > self._sound_at:
            patience_s = min(patience_s, _OVERDUE_AFTER_LOSS_S)
        return round(waited_s, 1) if waited_s > patience_s else None

    def _abandon(self, hangs: "Future[Any]", seconds: float) -> "Future[Committed | Aborted]":
        # Kept, since the client waits for the call before it forgets a producer.
        self._abandoned = [each for each in self._abandoned if not each[0].done()]
        self._abandoned.append((hangs, self._producer))
        if len(self._abandoned) > _MOST_ABANDONED:
            self._in_flight = None
            raise OutlivedError(
                "several calls of Kafka's client have not come back: start this process again"
            )
        # A new producer is waited for as patiently as the cluster may take to know it.
        self._begun_at = self._sound_at = monotonic()
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
        self._replace()
        return Aborted(overdue(seconds))

    def close(self) -> None:
        """Wait for an unsettled transaction to run to its end, unless it hangs."""
        if self._in_flight is not None:
            comes_back(self._in_flight, self._overdue_s, self._stop)

    def _try_out(self, producer: Any, position: TopicPartition, group: Any) -> Aborted:
        try:
            producer.begin_transaction()
            self._patiently(producer.send_offsets_to_transaction, inf, [position], group)
            self._patiently(producer.abort_transaction, inf)
        except KafkaException as error:
            return self._abort(producer, error)
        return Aborted("it was to be aborted")

    def _transact(
        self,
        producer: Any,
        answers: Sequence[Outgoing],
        positions: list[TopicPartition],
        group: Any,
    ) -> Committed | Aborted:
        start = perf_counter()
        self._refused = None
        try:
            producer.begin_transaction()
            for out in answers:
                produce(producer, out)
            if self._position_log is not None:
                produce(producer, self._position_log.of(positions))
            produced = perf_counter()
            self._patiently(producer.send_offsets_to_transaction, inf, positions, group)
            self._patiently(producer.commit_transaction, inf)
        except KafkaException as error:
            return self._abort(producer, error)
        except SystemError as error:  # how the client's `poll` raises a fatal one
            if not isinstance(error.__cause__, KafkaException):
                raise
            return self._abort(producer, error.__cause__)
        self._sound_at = monotonic()
        return Committed(produced - start, perf_counter() - produced)

    def _abort(self, producer: Any, error: KafkaException) -> Aborted:
        """End a transaction that has failed, and go on with a new producer.

        Where a connection broke before the cluster had acknowledged a record, an abort takes the
        record's sequence number back, though the cluster may have it (librdkafka 2.16). The next
        record would bear that number, be taken for a repetition and be dropped, and the client
        would be told that it is there. A new producer numbers anew.
        """
        cause = error.args[0]
        if is_denial(cause):
            # Somebody has to grant the right: the next attempt would end as this one did.
            with suppress(KafkaException):
                producer.abort_transaction(_DENIED_ABORT_S)
            raise error
        fenced = cause if cause.fatal() else None
        if fenced is None:
            if cause.code() in _REFUSED_RECORDS:
                self._refused = cause
            elif cause.code() != KafkaError._STATE and not cause.txn_requires_abort():
                raise error
            # While records are produced, _STATE says that the transaction has failed, and not why:
            # if that lasts, the next attempt will tell.
            try:
                self._patiently(producer.abort_transaction, inf)
            except KafkaException as failed:
                fenced = failed.args[0]
                if not fenced.fatal():
                    raise
        if producer is self._producer:  # else it was given up before
            self._replace(fenced)
        return Aborted((self._refused or cause).str(), self._refused is not None)

    def _replace(self, fenced: KafkaError | None = None) -> None:
        """Go on with a new producer, unless the transactional id is another's now.

        Raises:
            FencedError: it is.
            OutlivedError: nobody but the cluster has fenced us off, since a transaction took too
                long though the cluster was there.
        """
        self._successor.refuse(fenced, self._stop)
        took_s = monotonic() - self._begun_at
        if (
            fenced is not None
            and took_s >= self._timeout_s
            and self._watch.lost_at < self._sound_at
        ):
            raise OutlivedError.after(round(self._timeout_s * 1_000))
        # What the one before has to say of its connections counts no more.
        producer, self._sound_at = Producer(self._config), monotonic()
        self._producer = producer
        self._patiently(producer.init_transactions, inf)

    def _patiently(self, call: Callable[..., None], deadline: float, *args: Any) -> None:
        """Call again while the client says that it may go better next time, and time is left."""
        while True:
            left = min(self._timeout_s, max(1.0, deadline - monotonic()))
            try:
                call(*args, left)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or monotonic() > deadline or self._stop.is_set():
                    raise
                logger.warning(
                    "a Kafka transaction call failed, trying again: %s", error.args[0].str()
                )
