"""One worker of the archive: from Kafka into the tables, each record once."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event
from time import monotonic

from confluent_kafka import KafkaException, Message, TopicPartition

from monitoring.archive.errors import ArchiveAwayError, ArchiveConflictError
from monitoring.archive.metrics import ArchiveMetrics
from monitoring.archive.positions import ArchivedPositions
from monitoring.archive.rows import Rows
from monitoring.archive.settings import ArchiveSettings
from monitoring.archive.table import ArchiveTable
from streams.base.bounded_calls import StoppedError
from streams.base.clock import now_ms
from streams.dead_letters.writer import publish_dead_letters
from streams.events.rejection import Rejected
from streams.kafka.authorization import is_denial
from streams.kafka.batches.bad_batch import BadBatch, rejection_of
from streams.kafka.client import KafkaSettings
from streams.kafka.message import place_of
from streams.kafka.partition import PartitionId
from streams.kafka.records.publisher import Publisher
from streams.loop.position_check import PositionCheck
from streams.loop.stateless.group_reader import GroupReader

logger = logging.getLogger(__name__)

ToRows = Callable[[Sequence[Message]], Rows]

_POLL_S = 0.5
_RECORDS = 5_000
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_LEAVING_S = 60.0


class ArchiveWorker:
    """Reads topics as a member of a group, and writes what came to the tables now and then.

    Rows and how far a partition is in are one commit of the table, so whatever is killed when, each
    record is archived once; the group's offsets only say that to others. While the store is away,
    the worker waits and keeps its place in the group.

    Args:
        tables: of each topic, with what makes rows of its records.
        dead_letters: where records go that are none of their topic's. After a crash one may go
            there twice.
        letters_for: topics whose bad records go there; those of others somebody else sees to.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ArchiveSettings,
        *,
        tables: Mapping[str, tuple[ArchiveTable, ToRows]],
        dead_letters: str,
        letters_for: Iterable[str],
        metrics: ArchiveMetrics,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._tables = tables
        self._dead_letters = dead_letters
        self._letters_for = set(letters_for)
        self._metrics = metrics
        self._came: dict[PartitionId, list[Message]] = {}
        self._bytes = 0
        self._since = 0.0
        self._reader: GroupReader | None = None  # these two from `run` on
        self._positions: ArchivedPositions
        self._away = ""

    def waits_for(self) -> list[str]:
        """Why nothing is archived now, in words; nothing where it is. Any thread may ask."""
        away = [self._away] if self._away else []
        reader = self._reader
        reads = reader is not None and reader.ready
        return away if reads else [*away, "joining the group, or asking where to read on"]

    def has(self, place: PartitionId) -> bool:
        """Whether a partition is ours now; any thread may ask."""
        return self._reader is not None and place in self._positions.places

    def run(self, stop: Event) -> str:
        """Archive what comes until `stop` is set, then what is left; what is true then.

        Raises:
            ArchiveError: the tables don't take rows of ours, or have more than the topics.
            StoppedError: the store is away; the next start reads the last records again.
            PublishError: a dead letter did not arrive.
            AuthorizationError, KafkaException: the cluster refuses us.
        """
        topics = list(self._tables)
        check = PositionCheck(
            self._kafka,
            group=self._settings.group,
            topics=topics,
            log_topic="",  # the tables know
            tolerant=True,  # where the group's offsets mean nothing, the tables do
        )
        check.run(stop, _LEAVING_S)
        self._positions = ArchivedPositions(
            self._kafka,
            {topic: table for topic, (table, _) in self._tables.items()},
            check.states,
            self._metrics.lost.inc,
            self._drop,
        )
        try:
            with (
                GroupReader(
                    kafka=self._kafka,
                    group=self._settings.group,
                    topics=topics,
                    worker="weir-archive",
                    session_timeout=self._settings.session_timeout,
                    state=self._positions,
                    check=check,
                    begin_at=self._positions.begin_at,
                ) as self._reader,
                Publisher(self._kafka) as letters,
            ):
                while not stop.is_set():
                    self._take(self._reader.poll(_RECORDS, _POLL_S))
                    if self._due():
                        self._archive(self._reader, letters, stop)
                    elif not self._came:
                        self._commit(self._reader, self._reader.drained())
                    self._metrics.lag = self._reader.lag
                self._archive(self._reader, letters, stop, last=True)
        finally:
            self._reader = None
        return "all that was read is archived"

    def _take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if not self._came:
                self._since = monotonic()
            place = place_of(message)
            self._came.setdefault(place, []).append(message)
            self._bytes += len(message.value() or b"")

    def _due(self) -> bool:
        waited = monotonic() - self._since > self._settings.interval / 1_000
        return bool(self._came) and (waited or self._bytes > self._settings.max_wait_mb << 20)

    def _drop(self, place: PartitionId) -> None:
        """It is ours no more; or what was read of it is read again."""
        for message in self._came.pop(place, ()):
            self._bytes -= len(message.value() or b"")

    def _archive(
        self, reader: GroupReader, letters: Publisher, stop: Event, last: bool = False
    ) -> None:
        """Write all that came, a commit for each table."""
        for topic, (table, to_rows) in self._tables.items():
            came = {place: [*each] for place, each in self._came.items() if place[0] == topic}
            if came:
                self._write(reader, letters, table, to_rows, came, stop, last)

    def _write(
        self,
        reader: GroupReader,
        letters: Publisher,
        table: ArchiveTable,
        to_rows: ToRows,
        came: Mapping[PartitionId, Sequence[Message]],
        stop: Event,
        last: bool,
    ) -> None:
        messages = [message for each in came.values() for message in each]
        unreadable = [message for message in messages if isinstance(message, BadBatch)]
        rows = to_rows([message for message in messages if not isinstance(message, BadBatch)])
        ends = reader.positions(messages)
        wait_s = _FIRST_WAIT_S
        while rows.table is not None:
            # The group may have taken some away while we waited: then nothing of it may go in.
            if any(place not in self._came for place in came):
                return
            moves = self._positions.moves(ends)
            try:
                with self._metrics.seconds.time():
                    table.append(rows.table, moves)
                break
            except ArchiveConflictError as error:
                logger.warning("reading again what another worker may have archived: %s", error)
                reader.read_again(list(came))
                return
            except ArchiveAwayError as error:
                self._note_away(str(error))
                if last:
                    raise StoppedError(
                        f"{error}; the next start reads these records again"
                    ) from error
                logger.warning("%s; trying again in %.0f s, records wait in Kafka", error, wait_s)
                until = monotonic() + wait_s
                while not stop.is_set() and monotonic() < until:
                    self._take(reader.wait(min(_POLL_S, wait_s)))
                if stop.is_set():
                    return
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        self._note_away("")
        if rows.table is not None:
            self._positions.moved(ends)
        for place, written in came.items():
            left = self._came.pop(place, [])[len(written) :]
            if left:  # it came while the store was away
                self._came[place] = left
            self._bytes -= sum(len(message.value() or b"") for message in written)
        self._metrics.rows.labels(table.name).inc(0 if rows.table is None else len(rows.table))
        bad = [*rows.rejected, *((each, each.rejected(0)) for each in unreadable)]
        self._reject(letters, bad)
        self._commit(reader, ends)

    def _note_away(self, why: str) -> None:
        self._away = why
        self._metrics.up.set(not why)

    def _reject(self, letters: Publisher, bad: Sequence[tuple[Message, Rejected]]) -> None:
        kept = []
        for message, rejected in bad:
            said = rejection_of(message, rejected)
            self._metrics.rejected.labels(said.reason.value).inc()
            if message.topic() in self._letters_for:
                kept.append((message, said))
        publish_dead_letters(letters, self._dead_letters, kept, now_ms())

    def _commit(self, reader: GroupReader, positions: list[TopicPartition]) -> None:
        """Tell the group; that only shows others how far we are."""
        positions = [*{(each.topic, each.partition): each for each in positions}.values()]
        if not positions:
            return
        try:
            reader.commit(positions)
        except KafkaException as error:
            if is_denial(error.args[0]):
                raise
            logger.info("the group does not take our offsets: %s", error.args[0].str())
