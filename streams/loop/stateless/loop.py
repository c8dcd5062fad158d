"""Records in, records out, each input exactly once: for tasks that need no windows.

What a task makes of some records, where their input goes on, and what changed of the task's keyed
state are one Kafka transaction. Any number of workers share the partitions of the input.

A transaction is over before the group is heard again. So none is in flight when partitions go, and
its offsets are of partitions that are ours in the generation of the group that it names; where the
group has gone on without us, the cluster refuses it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event
from time import monotonic
from typing import Any

from confluent_kafka import KafkaException, Message, TopicPartition

from streams.base.bounded_calls import StoppedError
from streams.base.clock import now_ms
from streams.dead_letters.writer import dead_letters_of
from streams.events.rejection import Reason, Rejected
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.client import KafkaSettings
from streams.kafka.message import place_of
from streams.kafka.partition import PartitionId
from streams.loop.position_check import PositionCheck
from streams.loop.stateless.group_reader import GroupReader
from streams.loop.stateless.keyed_state import KeyedState
from streams.transactions.errors import FencedError, RecordRefusedError
from streams.transactions.outcome import Aborted, Outgoing
from streams.transactions.transactor import Transactor

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_AT_REST_S = 1.0
_SPARE_S = 10.0
_NO_RECORD_TO_BLAME = (KafkaException, StoppedError, OSError, MemoryError)


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Processed:
    """What a task has to say to some records.

    Attributes:
        rejected: records that it can't answer, for the dead letters.
        when_visible: called once all of it is committed.
    """

    outgoing: Sequence[Outgoing] = ()
    rejected: Sequence[tuple[Message, Rejected]] = ()
    when_visible: Callable[[], None] = _nothing


class StatelessLoop:
    """Runs a task over the partitions that the group gives to this worker.

    Args:
        worker: names this one of the group's workers; whoever starts under the name of another
            puts an end to it.
        process: the task: from records, in the order of their partitions, to what they lead to.
            Where it fails, the records are taken apart until those stand alone that it fails for;
            these go to the dead letters, as does what the cluster takes no answer for.
        dead_letters: topic.
        max_batch: records in one transaction.
        linger: ms that records wait for others to share their transaction, and fetches at the
            cluster for more to bring; 0 for not at all.
        session_timeout: ms; after this the group takes a silent member's partitions away.
        transaction_timeout: ms; after this the cluster aborts a transaction that is still open.
        machine_errors: of `process`, for which no record is to blame: they end `run`. So do those
            of Kafka and of the operating system, and `StoppedError`.
        state: what the task keeps by key, if it does. It must be changed by `process` and
            `at_rest` alone.
        at_rest: asked once a second, while no records come, for what the task has to say of its own
            accord, and may change of its state. Where it can't be committed, it is asked again.
        position_log, tolerant: see `PositionCheck`.
        widen: called when a topic has got partitions: gives those that are written to as many.
        committed, aborted: told of each transaction's end; the latter with the reason.
        rejected: told of each dead letter, once it is committed.
    """

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        group: str,
        worker: str,
        topics: Sequence[str],
        process: Callable[[Sequence[Message]], Processed],
        dead_letters: str,
        max_batch: int,
        linger: int = 0,
        session_timeout: int = 10_000,
        transaction_timeout: int = 30_000,
        machine_errors: tuple[type[Exception], ...] = (),
        state: KeyedState | None = None,
        at_rest: Callable[[], Processed] = Processed,
        position_log: str = "",
        tolerant: bool = False,
        widen: Callable[[], None] = _nothing,
        committed: Callable[[], None] = _nothing,
        aborted: Callable[[str], None] = _nothing,
        rejected: Callable[[Reason], None] = _nothing,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._worker = worker
        self._topics = topics
        self._process = process
        self._dead_letters = dead_letters
        self._max_batch = max_batch
        self._linger = linger
        self._session_timeout = session_timeout
        self._transaction_timeout = transaction_timeout
        self._machine_errors = _NO_RECORD_TO_BLAME + machine_errors
        self._state = state
        self._at_rest = at_rest
        self._position_log = position_log
        self._tolerant = tolerant
        self._widen = widen
        self._note_committed = committed
        self._note_aborted = aborted
        self._note_rejected = rejected
        self._reader: GroupReader | None = None  # these two from `run` on
        self._transactor: Any = None
        self._stop = Event()
        self._transaction_since: float | None = None
        self._last_transaction = 0.0

    @property
    def ready(self) -> bool:
        """Whether what is ours is being read, and no transaction is overdue; any thread may ask.

        A worker without partitions is ready: it stands in for others.
        """
        reader, since = self._reader, self._transaction_since
        overdue = since is not None and monotonic() - since > self._transaction_timeout / 2_000
        return reader is not None and reader.ready and not overdue

    @property
    def lag(self) -> Mapping[PartitionId, int]:
        """Records of each partition that were not read a moment ago; any thread may ask."""
        return {} if self._reader is None else self._reader.lag

    def unread(self) -> Mapping[PartitionId, int]:
        """Of each partition that is ours, what was not read yet; for the task alone.

        Raises:
            KafkaException: the cluster does not say.
        """
        return {} if self._reader is None else self._reader.unread()

    def unread_elsewhere(self) -> Mapping[PartitionId, int]:
        """Of each partition that is another's, what its group has not committed; as `unread`."""
        return {} if self._reader is None else self._reader.unread_elsewhere()

    def run(self, stop: Event) -> None:
        """Run until `stop` is set; then all that was begun is committed.

        Raises:
            StoppedError: something that was begun is not: it did not come to its end in time.
                Whoever starts next reads the same records.
            FencedError: another process has our worker's name.
            OutlivedError: calls of Kafka's client don't come back; a new start fixes it.
            RecordRefusedError: the cluster takes neither an answer nor a dead letter.
            TopicError: the state topic has too few partitions.
            PositionLostError: where the group was is no place in a topic any more.
            AuthorizationError, KafkaException: the cluster refuses us, or failed for good.
        """
        self._stop = stop
        self._transactor = Transactor(
            self._kafka, f"{self._group}-{self._worker}", self._transaction_timeout, stop
        )
        try:
            self._transactor.start()
            check = PositionCheck(
                self._kafka,
                group=self._group,
                topics=self._topics,
                log_topic=self._position_log,
                longest_transaction_s=self._transaction_timeout / 1_000 + _SPARE_S,
                tolerant=self._tolerant,
            )
            check.run(stop, self._session_timeout / 1_000 + _SPARE_S)
            self._transactor.log_to(check.log, shared=True)
            with GroupReader(
                kafka=self._kafka,
                group=self._group,
                topics=self._topics,
                worker=f"weir-{self._worker}",
                session_timeout=self._session_timeout,
                linger=self._linger,
                state=self._state,
                check=check,
                widen=self._widen,
            ) as self._reader:
                self._read(self._reader)
        except FencedError as error:
            raise FencedError(
                f"another process has started under the worker name {self._worker!r} in the group "
                f"{self._group!r}, or a transaction took longer than "
                f"{self._transaction_timeout / 1_000:g} s, and the cluster gave it up: nothing of "
                f"it was committed. Give each worker a name of its own ({error})"
            ) from error
        finally:
            self._reader = None
            self._transactor.close()

    def _read(self, reader: GroupReader) -> None:
        while not self._stop.is_set():
            messages = reader.poll(self._max_batch, _POLL_S)
            if messages:
                self._answer(reader, self._with_company(reader, messages))
            elif monotonic() - self._last_transaction > _AT_REST_S:
                self._rest(reader)
        self._commit_drained(reader)

    def _with_company(self, reader: GroupReader, messages: list[Message]) -> list[Message]:
        """What came, and what comes while that lingers."""
        until, gone = monotonic() + self._linger / 1_000, reader.gone
        while len(messages) < self._max_batch and not self._stop.is_set():
            if (left := until - monotonic()) <= 0:
                break
            messages += reader.poll(self._max_batch - len(messages), min(left, _POLL_S))
            if reader.gone != gone:
                # A partition may be back by now, and its records among these twice.
                reader.read_again({place_of(each) for each in messages})
                return []
        return messages

    def _answer(self, reader: GroupReader, messages: Sequence[Message]) -> None:
        """Answer all: in one transaction, or in smaller ones until it shows who is to blame."""
        parts = [messages]
        while parts and not self._stop.is_set():
            # Those of a transaction that was aborted will be read again.
            part = [message for message in parts.pop() if reader.reads(message)]
            fault = self._attempt(reader, part) if part else None
            if fault is None:
                continue
            logger.warning(
                "a batch of %d records failed, looking for the record at fault: %s",
                len(part),
                fault,
            )
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            elif fault := self._attempt(reader, part):  # whatever it was, it may have passed
                self._reject(reader, part[0], fault)

    def _attempt(self, reader: GroupReader, messages: Sequence[Message]) -> str | None:
        """Answer and commit, or go back; what is wrong if that is due to the records themselves."""
        records = [each for each in messages if not isinstance(each, BadBatch)]
        try:
            processed = self._process(records) if records else Processed()
        except self._machine_errors:
            raise
        except Exception as error:
            if self._state is not None:
                self._state.rollback()
            return f"{type(error).__name__}: {error}"
        unreadable = [(each, each.rejected(0)) for each in messages if isinstance(each, BadBatch)]
        if unreadable:
            processed = replace(processed, rejected=[*processed.rejected, *unreadable])
        return self._commit(reader, processed, reader.positions(messages), messages)

    def _reject(self, reader: GroupReader, message: Message, reason: str) -> None:
        logger.error(
            "%s[%s] offset %s goes to the dead letters: %s",
            message.topic(),
            message.partition(),
            message.offset(),
            reason,
        )
        dead_letter = Processed(rejected=[(message, Rejected(0, Reason.FAILED, None, reason))])
        fault = self._commit(reader, dead_letter, reader.positions([message]), [message])
        if fault is not None:
            raise RecordRefusedError(
                f"the cluster takes neither an answer to {message.topic()}[{message.partition()}] "
                f"offset {message.offset()} ({reason}) nor a dead letter in its place ({fault}): "
                f"see max.message.bytes of the topic {self._dead_letters!r}"
            )

    def _rest(self, reader: GroupReader) -> None:
        """Commit what the task does of its own accord, with where the group is.

        Without a position the cluster would not ask whether we are still a member of the group.
        """
        processed = self._at_rest()
        changed = self._state is not None and self._state.changed
        if not (changed or processed.outgoing):
            self._commit_drained(reader)
            return
        positions = {(each.topic, each.partition): each for each in reader.committed()}
        positions |= {(each.topic, each.partition): each for each in reader.drained()}
        if positions:
            fault = self._commit(reader, processed, list(positions.values()), ())
            if fault is not None:
                logger.error("what was to be said at rest can't be: %s", fault)
        elif self._state is not None:
            self._state.rollback()

    def _commit_drained(self, reader: GroupReader) -> None:
        """Let the group know of what is read to its end: behind the last record stands a marker."""
        positions = reader.drained()
        if positions:
            self._commit(reader, Processed(), positions, ())

    def _commit(
        self,
        reader: GroupReader,
        processed: Processed,
        positions: list[TopicPartition],
        messages: Sequence[Message],
    ) -> str | None:
        """One transaction; what the cluster finds wrong with its records, if it does.

        Where it fails for other reasons, its messages are going to be read again.
        """
        outgoing = list(processed.outgoing)
        if processed.rejected:
            outgoing.append(dead_letters_of(self._dead_letters, processed.rejected, now_ms()))
        if self._state is not None:
            outgoing += self._state.changes()
        membership = reader.membership()
        if membership is None:
            outcome: Any = Aborted("the group has gone on without us, as we were silent too long")
        else:
            outcome = self._transact(outgoing, positions, membership)
        self._last_transaction = monotonic()
        if isinstance(outcome, Aborted):
            if self._state is not None:
                self._state.rollback()
            self._note_aborted(outcome.reason)
            if outcome.records_at_fault:
                return outcome.reason
            logger.warning("a transaction was aborted, reading its input again: %s", outcome.reason)
            reader.read_again({place_of(each) for each in messages})
            return None
        if self._state is not None:
            self._state.commit()
        reader.note_committed(positions)
        self._note_committed()
        for _, rejected in processed.rejected:
            self._note_rejected(rejected.reason)
        processed.when_visible()
        return None

    def _transact(
        self, outgoing: list[Outgoing], positions: list[TopicPartition], membership: Any
    ) -> Any:
        self._transaction_since = monotonic()
        try:
            self._transactor.submit(outgoing, positions, membership)
            return self._transactor.settle(wait=True)
        finally:
            self._transaction_since = None
