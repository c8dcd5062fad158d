"""A producer of transactions, and the new one that takes its place after a failure.

Whoever makes a producer with a transactional id fences off the one before, be it our own or that of
another process: so it is asked first whether the id is a successor's now.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from threading import Event
from time import perf_counter
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from streams.kafka.authorization import is_denial
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import ClusterWatch
from streams.transactions.call_watch import CallWatch
from streams.transactions.errors import OutlivedError
from streams.transactions.outcome import Aborted, Committed, Outgoing
from streams.transactions.patience import patiently
from streams.transactions.position_log import PositionLog
from streams.transactions.producing import produce
from streams.transactions.successor import Successor

_DENIED_ABORT_S = 5.0
_REFUSED_RECORDS = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.RECORD_LIST_TOO_LARGE,
}
_FAILED = {KafkaError._STATE, KafkaError._FATAL}
"""What the client says while records are produced: that the transaction has failed, or that it can
go on no more, and not why. Its abort tells, or where that goes well, the next attempt does."""


class TransactionalProducer:
    """Makes whole transactions, each in the calling thread, which may hang in them.

    Args:
        timeout_ms: how long a transaction may take.
        stop: once it is set, no call that failed is made again.
        watch: told what the client says of its connections.
        calls: told when these are known to work.
        successor: whose the transactional id is by now.

    Attributes:
        client: Kafka's own producer, the newest one.
        position_log: where positions are written as well, if anywhere.
        shared: whether the group has members with transactional ids of their own; see `transact`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        transactional_id: str,
        timeout_ms: int,
        stop: Event,
        *,
        watch: ClusterWatch,
        calls: CallWatch,
        successor: Successor,
    ) -> None:
        self._timeout_ms = timeout_ms
        self._stop = stop
        self._calls = calls
        self._successor = successor
        self._refused: KafkaError | None = None
        self._denied: KafkaError | None = None
        self._config = kafka.producer_config(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            linger_ms=0,
            # A transaction can begin only when the markers of the one before are written. The
            # default would then sleep 100 ms; this grows to a second where it is an outage.
            retry_backoff_ms=2,
            delivery_report_only_error=True,
        ) | {"on_delivery": self._note_undelivered, "error_cb": watch.note_error}
        self.position_log: PositionLog | None = None
        self.shared = False
        self.client: Any = Producer(self._config)

    def _note_undelivered(self, error: KafkaError | None, message: object) -> None:
        # The transaction itself may say only how many records were not delivered.
        if error is not None and error.code() in _REFUSED_RECORDS:
            self._refused = error
        elif error is not None and is_denial(error):
            self._denied = error

    def start(self, within_s: float) -> None:
        """End what a predecessor left open, and fence it off.

        Raises:
            KafkaException: the cluster does not let us, or does not answer in time.
        """
        self._patiently(self.client.init_transactions, within_s=within_s)

    def transact(
        self, client: Any, answers: Sequence[Outgoing], positions: list[TopicPartition], group: Any
    ) -> Committed | Aborted:
        """One transaction of answers and input offsets.

        In a shared group all records are written before the group is asked whether we are its
        member. Whoever gets our partitions gets them later, and so finds the transaction open in
        the log of positions, and waits for its end. Kafka itself would show an open offset, but not
        where the group's coordinator lost it with its broker.

        Args:
            client: what is to make it; where it hangs, it is `client` no more by the end.

        Raises:
            FencedError: another process has taken over.
            OutlivedError: it took too long.
            KafkaException: it failed in a way that a new attempt can't fix.
        """
        start = perf_counter()
        self._refused = self._denied = None
        try:
            client.begin_transaction()
            for out in answers:
                produce(client, out)
            if self.position_log is not None:
                produce(client, self.position_log.of(positions))
            if self.shared:
                self._write(client)
            produced = perf_counter()
            self._patiently(client.send_offsets_to_transaction, positions, group)
            self._patiently(client.commit_transaction)
        except KafkaException as error:
            return self._abort(client, error)
        except SystemError as error:  # how the client's `poll` raises a fatal one
            if not isinstance(error.__cause__, KafkaException):
                raise
            return self._abort(client, error.__cause__)
        self._calls.sound()
        return Committed(produced - start, perf_counter() - produced)

    def _write(self, client: Any) -> None:
        """Return once the cluster has all records of the transaction, or has refused one."""
        timeout_s = self._timeout_ms / 1_000
        if left := client.flush(timeout_s):
            reason = f"{left} records could not be written within {timeout_s:g} s"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason, txn_requires_abort=True))

    def try_out(self, client: Any, position: TopicPartition, group: Any) -> Aborted:
        """One that is aborted, to see whether it could be made; raises as `transact` does."""
        try:
            client.begin_transaction()
            self._patiently(client.send_offsets_to_transaction, [position], group)
            self._patiently(client.abort_transaction)
        except KafkaException as error:
            return self._abort(client, error)
        return Aborted("it was to be aborted")

    def _abort(self, client: Any, error: KafkaException) -> Aborted:
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
                client.abort_transaction(_DENIED_ABORT_S)
            raise error
        fenced = cause if cause.fatal() else None
        if fenced is None:
            if cause.code() in _REFUSED_RECORDS:
                self._refused = cause
            elif cause.code() not in _FAILED and not cause.txn_requires_abort():
                raise error
            try:
                self._patiently(client.abort_transaction)
            except KafkaException as failed:
                fenced = failed.args[0]
                if not fenced.fatal():
                    raise
        if self._denied is not None:
            raise KafkaException(self._denied)
        if client is self.client:  # else it was given up before
            self.replace(fenced)
        return Aborted((self._refused or cause).str(), self._refused is not None)

    def replace(self, fenced: KafkaError | None = None) -> None:
        """Go on with a new producer, unless the transactional id is another's now.

        Args:
            fenced: by which the cluster said that ours is not to go on.

        Raises:
            FencedError: it is.
            OutlivedError: nobody but the cluster has fenced us off, since a transaction took too
                long though the cluster was there.
        """
        self._successor.refuse(fenced, self._stop)
        if fenced is not None and self._calls.outlived:
            raise OutlivedError.after(self._timeout_ms)
        # What the one before has to say of its connections counts no more.
        client = Producer(self._config)
        self._calls.sound()
        self.client = client
        self._patiently(client.init_transactions)

    def _patiently(self, call: Callable[..., None], *args: Any, within_s: float = inf) -> None:
        patiently(
            partial(call, *args), within_s, at_most_s=self._timeout_ms / 1_000, stop=self._stop
        )
