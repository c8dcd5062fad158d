"""Erasures on the control topic: whose windows the scorers are to forget."""

import logging
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Annotated

from pydantic import Field

from inference.control.commands import Author, CommandError, ControlEntry, OneLine, read_command
from inference.control.signatures import CommandKeys, UntrustedCommandError, check_author
from streams.events.contract import FieldType
from streams.features.erasures import Erasures
from streams.kafka.records.control_topic import ControlRecord

logger = logging.getLogger(__name__)

ERASE = "erase"
"""What a key of `signing.trusted_keys` may do, and what the keys of these records begin with."""

_AHEAD_MS = 5 * 60_000
_MOST = 100_000

_FITS: Mapping[str, Callable[[int | str], bool]] = {
    "int": lambda value: isinstance(value, int) and -(2**63) <= value < 2**63,
    "string": lambda value: isinstance(value, str),
}

Value = int | Annotated[str, Field(max_length=10_000)]


class ErasureCommand(ControlEntry):
    """Of a value of an entity, such as a card, events count from `before` on only.

    Attributes:
        field: of the entity.
        before: an event time, UTC milliseconds, a little ahead of `at`: see
            `streams.features.erasures`.
        until: when nothing can read an event of before any more, UTC milliseconds; None for never.
        by, at: who said so, and when.
    """

    field: Annotated[OneLine, Field(min_length=1, max_length=200)]
    value: Value
    before: int
    until: int | None
    by: Author
    at: int


def new_erasure_key() -> str:
    """Of a record of the control topic; it says nothing of what is erased."""
    return f"{ERASE}/{token_hex(8)}"


def is_erasure(record: ControlRecord) -> bool:
    """Whether a record of the control topic is one."""
    return record.key.startswith(f"{ERASE}/")


class ErasureBook:
    """Hears erasures, in the order of the control topic, and has them obeyed.

    Args:
        keys: whose count.
        fields: of the events, with their types.
        erasures: what the windows go by.
        now_ms: the wall clock, UTC milliseconds.
        count: told what became of each: ``in force``, ``expired`` or ``refused``.
    """

    def __init__(
        self,
        keys: CommandKeys,
        fields: Mapping[str, FieldType],
        erasures: Erasures,
        now_ms: Callable[[], int],
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._keys = keys
        self._fields = fields
        self._erasures = erasures
        self._now_ms = now_ms
        self._count = count

    def hear(self, record: ControlRecord) -> None:
        """Take note of a record if it is an erasure; one that may not count is logged.

        One that was taken back goes on: whoever may write, but has no key, could do that.
        """
        if not is_erasure(record) or record.value is None:
            return
        try:
            said = self._admitted(record)
        except (CommandError, UntrustedCommandError) as error:
            self._count("refused")
            logger.error("refused: %s", error)
            return
        if said.until is not None and said.until < self._now_ms():
            self._count("expired")
            return
        self._erasures.add(said.field, said.value, said.before)
        self._count("in force")
        logger.info("an erasure by %s (%s): one %s is forgotten", said.by, record.key, said.field)

    def _admitted(self, record: ControlRecord) -> ErasureCommand:
        author = self._keys.author(record)
        said = read_command(ErasureCommand, record)
        if said is None:
            raise CommandError(f"control record {record.key!r} ({record.place}) says nothing")
        where = f"the erasure at {record.place}"
        check_author(where, author, said.by)
        kind = self._fields.get(said.field)
        if kind is None or kind not in _FITS or not _FITS[kind](said.value):
            raise CommandError(
                f"{where} is of {said.field!r}, which is {kind or 'no field'} here, and its value "
                "is of another kind: give it again with the settings of this scorer"
            )
        if said.at > self._now_ms() + _AHEAD_MS or said.before > said.at + _AHEAD_MS:
            raise CommandError(
                f"{where} is ahead of the clock: it would leave events out that are to come. Look "
                "at the clock of who gave it, then give it again with `weir erase`"
            )
        if len(self._erasures) >= _MOST and said.value not in self._erasures.of(said.field):
            raise CommandError(f"{where} is one more than {_MOST:,}: no more are obeyed")
        return said
