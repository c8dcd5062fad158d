"""What stands on the control topic for the retraining controller, and what it says there."""

import logging
from contextlib import closing

from inference.control.commands import (
    CHAMPION_KEY,
    ChampionCommand,
    CommandError,
    ControlEntry,
    ModelVersion,
    Withdrawal,
    encode,
    read_command,
)
from inference.control.retraining import RETRAINING, RetrainingCommand
from inference.control.signatures import CommandKeys, UntrustedCommandError, check_entry
from inference.control.standing import Standing
from inference.shadow.shadow_book import ShadowBook, ShadowCommand, shadow_key
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlFollower, ControlReader, ControlRecord
from streams.transactions.control_writer import ControlWriter

logger = logging.getLogger(__name__)


class RetrainingBoard:
    """Reads the control topic, and names candidates there.

    Args:
        keys: whose commands count, and what signs ours.

    Attributes:
        champion: the package that a command names; None where none does.
        said: what people have said to the controller; None for nothing.
        book: which candidates are tried, and which have left.
    """

    def __init__(self, kafka: KafkaSettings, keys: CommandKeys) -> None:
        self._kafka, self._keys = kafka, keys
        self._standing = Standing(keys)
        self.champion: str | None = None
        self.said: RetrainingCommand | None = None
        self.book = ShadowBook(keys)
        self._follower = ControlFollower(kafka, keys.topic, self._hear)

    def close(self) -> None:
        """Leave the cluster."""
        self._follower.close()

    def look(self) -> None:
        """Read what has come since.

        Raises:
            KafkaException: the cluster failed.
        """
        self._follower.look()

    def try_out(self, name: str, model: ModelVersion, by: str, note: str) -> None:
        """Name a model as a candidate; nothing where it is tried, or was taken away.

        Raises:
            FencedError, PublishError, KafkaException: see `ControlWriter`.
        """
        with ControlWriter(self._kafka, self._keys.topic) as writer:
            book = self._newest_book()
            if book.stands_since(name):
                return
            at, place = now_ms(), book.next_place(name, model)
            said = ShadowCommand(model=model, place=place, by=by, note=note, at=at)
            self._write(writer, shadow_key(name), said)

    def take_away(self, name: str, by: str, note: str) -> None:
        """Take a candidate from the shadow; nothing where it is not tried.

        Raises:
            FencedError, PublishError, KafkaException: see `ControlWriter`.
        """
        with ControlWriter(self._kafka, self._keys.topic) as writer:
            book = self._newest_book()
            if name not in book.commands:
                return
            at = max(now_ms(), book.stands_since(name) + 1)
            leaves = Withdrawal(place=book.place(name), by=by, note=note, at=at)
            self._write(writer, shadow_key(name), leaves)

    def _newest_book(self) -> ShadowBook:
        book = ShadowBook(self._keys)
        with closing(ControlReader(self._kafka, self._keys.topic)) as reader:
            reader.read_to_end(book.hear)
        return book

    def _write(self, writer: ControlWriter, key: str, said: ControlEntry) -> None:
        value = encode(said)
        writer.write(key, value, self._keys.headers(key, value))

    def _hear(self, record: ControlRecord) -> None:
        if record.key == CHAMPION_KEY:
            if self._standing.counts(record):
                self.champion = _package(record)
        elif record.key == RETRAINING:
            self.said = heard_word(record, self._keys, self.said)
        else:
            self.book.hear(record)


def heard_word(
    record: ControlRecord, keys: CommandKeys, stands: RetrainingCommand | None
) -> RetrainingCommand | None:
    """What people say to the controller after a record: what stands, where it does not count."""
    try:
        author = keys.author(record)
        said = read_command(RetrainingCommand, record)
        if said is not None:
            check_entry(record, author, said, stands)
    except (CommandError, UntrustedCommandError) as error:
        logger.error("refused: %s", error)
        return stands
    return said


def _package(record: ControlRecord) -> str | None:
    try:
        said = read_command(ChampionCommand, record)
    except CommandError:
        return None
    return None if said is None else said.model.package
