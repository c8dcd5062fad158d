"""The part of `weir erase` that has scorers forget the windows of somebody."""

from collections.abc import Mapping
from contextlib import closing

from confluent_kafka.admin import AdminClient

from inference.control.commands import CommandError, encode, read_command
from inference.control.erasures import ERASE, ErasureCommand, is_erasure, new_erasure_key
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader
from streams.kafka.topics.retention import retention_of
from streams.transactions.control_writer import ControlWriter
from weir.commands.models.rooms import author_who_may
from weir.config.settings import Settings
from weir.services.wiring import command_keys

_HEARD_MS = 60_000
"""Within this time every scorer that runs has heard of it."""
_SPARE_MS = 24 * 3_600_000


class WindowEraser:
    """Says on the control topic that an identifier is to be forgotten.

    Args:
        by: who erases; else the owner of the key that signs, or the login.

    Raises:
        SettingsError: nobody is named, or the key may not do it.
        KeyFileError: a key can't be read.
    """

    def __init__(self, settings: Settings, by: str | None) -> None:
        self._settings = settings
        self._keys = command_keys(settings, signing=True)
        self._author = author_who_may(self._keys, by, ERASE)

    def looks_at(self, field: str) -> bool:
        """Whether any window is of this field's values."""
        return field in {entity.entity for entity in self._settings.plan().entities}

    def erase(
        self, kafka: KafkaSettings, admin: AdminClient, field: str, identifier: int | str
    ) -> int:
        """Give the command, and remove those that have nothing left to do.

        Returns:
            The event time (ms) from which on events of the identifier count.

        Raises:
            ValueError: there is no control topic.
            FencedError, PublishError, KafkaException: as `ControlWriter`.
        """
        at = now_ms()
        command = ErasureCommand(
            field=field,
            value=identifier,
            before=at + _HEARD_MS,
            until=self._gone_at(admin, at),
            by=self._author,
            at=at,
        )
        key, value = new_erasure_key(), encode(command)
        topic = self._settings.topics.control
        with ControlWriter(kafka, topic) as writer:
            writer.write(key, value, self._keys.headers(key, value))
            for expired in _expired(kafka, topic, at):
                writer.write(expired, None)
        return command.before

    def _gone_at(self, admin: AdminClient, at: int) -> int | None:
        """When no topic that state is rebuilt from holds an event of before any more."""
        settings = self._settings
        topics = {settings.topics.events}
        if settings.loop.topology == "staged":
            topics |= set(settings.stage_topics())
        kept: Mapping[str, int | None] = retention_of(admin, topics)
        known = [kept.get(topic) for topic in topics]
        longest = [each for each in known if each is not None]
        return at + _HEARD_MS + max(longest) + _SPARE_MS if len(longest) == len(known) else None


def _expired(kafka: KafkaSettings, topic: str, now: int) -> list[str]:
    with closing(ControlReader(kafka, topic)) as reader:
        records = [each for each in reader.read_to_end().values() if is_erasure(each)]
    keys = []
    for record in records:
        try:
            said = read_command(ErasureCommand, record)
        except CommandError:
            continue
        if said is not None and said.until is not None and said.until < now:
            keys.append(record.key)
    return keys
