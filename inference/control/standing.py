"""Which champion and policy stand: the control topic's order decides, and who may command."""

import logging
from dataclasses import dataclass

from inference.control.commands import (
    COMMAND_KEYS,
    CommandError,
    ModelVersion,
    NewerFormatError,
    PolicyVersion,
    RefusedCommandError,
    command_of,
)
from inference.control.signatures import (
    CommandKeys,
    UntrustedCommandError,
    check_author,
    check_later,
)
from streams.kafka.records.control_topic import ControlRecord

logger = logging.getLogger(__name__)


class OvertakenError(RefusedCommandError):
    """A command was given on the base of another champion or policy than the one that stood."""


@dataclass(frozen=True)
class _Stands:
    value: bytes | None
    named: ModelVersion | PolicyVersion | None
    at: int


class Standing:
    """Which champion and policy stand, record by record: the topic's order decides a race.

    What comes first of a key counts whatever it expects, since what stood before it may have been
    compacted away. After that, a command that expects something else than what stands is refused,
    and what stands goes on. So everybody who reads the topic refuses the same ones. What stands,
    written once more, counts and changes nothing.

    Args:
        keys: whose commands count; by default everybody's. Of signed ones, one that is older than
            what stands is refused: whoever may write, but has no key, could say it again.
    """

    def __init__(self, keys: CommandKeys | None = None) -> None:
        self._keys = keys
        self._stands: dict[str, _Stands] = {}

    def counts(self, record: ControlRecord) -> bool:
        """Take note of a record, and say whether it counts; what nobody may say is logged."""
        try:
            self.admit(record)
        except UntrustedCommandError as error:
            logger.error("refused: %s", error)
            return False
        except RefusedCommandError:
            return False
        return True

    def trusts(self, record: ControlRecord) -> bool:
        """Whether its author may give a command, whatever stands; takes note of nothing."""
        try:
            return self._keys is None or bool(self._keys.author(record)) or not self._keys.trusted
        except UntrustedCommandError:
            return False

    def admit(self, record: ControlRecord) -> None:
        """Take note of a record; one that can't be read names nothing.

        Raises:
            OvertakenError: it is a command that expects something else than what stands.
            UntrustedCommandError: its author may not give it.
        """
        key = record.key
        if key not in COMMAND_KEYS:
            return
        author = self._keys.author(record) if self._keys is not None else None
        stands = self._stands.get(key)
        if stands is not None and record.value == stands.value:
            return
        try:
            command = command_of(record)
        except NewerFormatError:
            self._stands.pop(key, None)  # it names something, and we can't know what
            return
        except CommandError:
            command = None
        if command is None:
            self._stands[key] = _Stands(record.value, None, stands.at if stands else 0)
            return
        where = f"{key} {command.named}: the record at {record.place}"
        check_author(where, author, command.by, command.named)
        if stands is not None:
            check_later(where, author, command.at, stands.at, command.named)
        if stands is not None and command.expects not in ("any", stands.named):
            raise OvertakenError(
                f"{key} {command.named} was meant to replace {command.expects or 'none'}, "
                f"but {stands.named or 'none'} is in force: look at `weir models serving` and give "
                "the command again",
                command.named,
            )
        self._stands[key] = _Stands(record.value, command.named, command.at)
