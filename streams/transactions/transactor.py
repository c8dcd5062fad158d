"""Kafka transactions, one at a time, each in a thread of its own.

While one transaction is written and committed, which is mostly waiting for the broker, the next
batch can be computed. Its answers are handed over only when the one before has been settled.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from threading import Event
from time import monotonic, perf_counter
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from streams.base.bounded_calls import StoppedError, comes_back, in_thread
from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.message import Header
from streams.transactions.errors import FencedError, OutlivedError, overdue
from streams.transactions.outcome import Aborted, Committed, Outgoing

logger = logging.getLogger(__name__)

_OVERDUE_S = 5.0
_GRACE_S = 2.0
_MOST_ABANDONED = 10
_DENIED_ABORT_S = 5.0
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
        only_ours: whether nobody else may take over this transactional id. Then a call that does
            not come back is fenced off; otherwise that could fence off who took over.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        transactional_id: str,
        timeout_ms: int,
        stop: Event,
        *,
        only_ours: bool = False,
    ) -> None:
        self._id = transactional_id
        self._timeout_s = timeout_ms / 1_000
        self._config = kafka.producer_config(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            linger_ms=0,
            # A transaction can begin only when the markers of the one before are written. The
            # default would then sleep 100 ms; this grows to a second where it is an outage.
            retry_backoff_ms=2,
            delivery_report_only_error=True,
        )
        self._stop = stop
        self._only_ours = only_ours
        # Where we can't help ourselves, not before the cluster has given the transaction up.
        patience = self._timeout_s / 2 if only_ours else self._timeout_s
        self._overdue_s = patience + _OVERDUE_S
        self._overdue_at = inf
        self._abandoned: list[object] = []
        self._refused: KafkaError | None = None
        self._in_flight: Future[Committed | Aborted] | None = None
        self._renew()

    def _renew(self) -> None:
        self._producer: Any = Producer(self._config | {"on_delivery": self._note_refusal})

    def start(self) -> None:
        """End what a killed predecessor left open, and fence it off.

        Raises:
            OutlivedError: the call does not come back; a new start mends it.
            StoppedError: it does not come back, and we are told to stop.
            KafkaException: the cluster does not let us, or does not answer in time.
        """
        self._watched(self._patiently, self._producer.init_transactions)

    def _note_refusal(self, error: KafkaError | None, message: object) -> None:
        if error is not None and error.code() in _REFUSED_RECORDS:
            self._refused = error

    @property
    def busy(self) -> bool:
        """Whether a transaction is still on its way."""
        return self._in_flight is not None and not self._in_flight.done()

    def submit(
        self, answers: Sequence[Outgoing], positions: list[TopicPartition], group: Any
    ) -> None:
        """Begin a transaction of answers and input offsets; the one before must be settled."""
        assert self._in_flight is None, "settle the transaction before first"
        self._overdue_at = monotonic() + self._overdue_s
        self._in_flight = in_thread(self._transact, self._producer, answers, positions, group)

    def probe(self, position: TopicPartition, group: Any) -> None:
        """Find out whether this transactional id is still ours; leaves no trace.

        Args:
            position: of a partition that the group has given to us.

        Raises:
            FencedError: another process has taken over.
            OutlivedError: a call does not come back; a new start mends it.
            StoppedError: it does not come back, and we are told to stop.
            KafkaException: it failed in a way that a new attempt can't mend.
        """
        self._watched(self._try_out, self._producer, position, group)

    def _watched(self, call: Callable[..., None], *args: Any) -> None:
        """Call, but no longer than the cluster may take and a little more."""
        within_s = self._timeout_s + _OVERDUE_S
        called = in_thread(call, *args)
        if not self._comes_back(called, within_s):
            raise OutlivedError.overdue(within_s)
        called.result()

    def _try_out(self, producer: Any, position: TopicPartition, group: Any) -> None:
        try:
            producer.begin_transaction()
            self._patiently(producer.send_offsets_to_transaction, [position], group)
            self._patiently(producer.abort_transaction)
        except KafkaException as error:
            self._abort(producer, error)

    def settle(self, *, wait: bool) -> Committed | Aborted | None:
        """What became of the transaction in flight; None without one, or if it is still on its way.

        Raises:
            FencedError: another process has taken over; nothing of ours was committed since.
            OutlivedError: calls of the client don't come back; a new start mends it.
            StoppedError: it is still on its way, and we are told to stop. Whoever starts next
                under this transactional id ends it, or the cluster when its time is over.
            KafkaException: it failed in a way that a new attempt can't mend.
        """
        if self._in_flight is None:
            return None
        left = self._overdue_at - monotonic()
        # This process may have been stopped for long: then the call comes back now.
        patience_s = max(_GRACE_S, left)
        if (wait or left <= 0) and not self._comes_back(self._in_flight, patience_s):
            return self._abandon()
        if not self._in_flight.done():
            return None
        in_flight, self._in_flight = self._in_flight, None
        outcome = in_flight.result()
        if isinstance(outcome, Aborted):
            # Where a connection broke before the cluster had acknowledged a record, an abort takes
            # the record's sequence number back, though the cluster may have it (librdkafka 2.16).
            # The next record would bear that number, be taken for a repetition and be dropped,
            # and the client would be told that it is there. A new producer numbers anew.
            self._renew()
            self.start()
        return outcome

    def _comes_back(self, called: "Future[Any]", within_s: float) -> bool:
        back = comes_back(called, within_s, self._stop)
        if not back and self._stop.is_set():
            self._in_flight = None
            raise StoppedError("stopped while Kafka's client waits for the cluster")
        return back

    def _abandon(self) -> Aborted:
        """Fence off our own producer, one of whose calls does not come back, with a new one.

        The client forgets the timeout it was given where a connection breaks in the midst of
        sending offsets (librdkafka issue 5456). What became of the transaction is final then; if
        it was about to end, it may have been committed.
        """
        if not self._only_ours:
            raise OutlivedError.overdue(self._overdue_s)
        self._in_flight = None
        # Kept, since the client waits for the call before it forgets a producer.
        self._abandoned.append(self._producer)
        if len(self._abandoned) > _MOST_ABANDONED:
            raise OutlivedError(
                "calls of Kafka's client do not come back, again and again: start again"
            )
        self._renew()
        self.start()
        return Aborted(overdue(self._overdue_s))

    def close(self) -> None:
        """Wait for an unsettled transaction to run to its end, unless it hangs."""
        if self._in_flight is not None:
            comes_back(self._in_flight, self._overdue_at - monotonic(), self._stop)

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
                self._produce(producer, out)
            produced = perf_counter()
            self._patiently(producer.send_offsets_to_transaction, positions, group)
            self._patiently(producer.commit_transaction)
        except KafkaException as error:
            return self._abort(producer, error)
        except SystemError as error:  # how the client's `poll` raises a fatal one
            if not isinstance(error.__cause__, KafkaException):
                raise
            return self._abort(producer, error.__cause__)
        return Committed(produced - start, perf_counter() - produced)

    def _produce(self, producer: Any, out: Outgoing) -> None:
        topic, produce = out.topic, producer.produce
        headers: Sequence[list[Header] | None] = out.headers or [None] * len(out.values)
        records = zip(out.values, out.keys, out.partitions, headers, strict=True)
        for value, key, partition, header in records:
            while True:
                try:
                    if header is None:
                        produce(topic, value, key, partition)
                    else:
                        produce(topic, value, key, partition, headers=header)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)

    def _abort(self, producer: Any, error: KafkaException) -> Aborted:
        cause = error.args[0]
        if is_denial(cause):
            # Somebody has to grant the right: the next attempt would end as this one did.
            with suppress(KafkaException):
                producer.abort_transaction(_DENIED_ABORT_S)
            raise error
        if cause.fatal():
            raise self._fenced(cause) from error
        if cause.code() in _REFUSED_RECORDS:
            self._refused = cause
        elif cause.code() != KafkaError._STATE and not cause.txn_requires_abort():
            raise error
        # While records are produced, _STATE says that the transaction has failed, and not why: if
        # that lasts, the next attempt will tell.
        try:
            self._patiently(producer.abort_transaction)
        except KafkaException as failed:
            if failed.args[0].fatal():  # we learn of it only now
                raise self._fenced(failed.args[0]) from failed
            raise
        return Aborted((self._refused or cause).str(), self._refused is not None)

    def _fenced(self, cause: KafkaError) -> FencedError:
        return FencedError(
            f"another process with transactional id {self._id!r} took over ({cause.str()}): "
            "run one scorer per group, or give this one another loop.group"
        )

    def _patiently(self, call: Callable[..., None], *args: Any) -> None:
        """Call again while the client says that it may go better next time."""
        deadline = monotonic() + self._timeout_s
        while True:
            try:
                call(*args, max(1.0, deadline - monotonic()))
                return
            except KafkaException as error:
                if not error.args[0].retriable() or monotonic() > deadline:
                    raise
                logger.warning("trying again: %s", error.args[0].str())
