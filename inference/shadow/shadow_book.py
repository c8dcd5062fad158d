"""Which candidates are tried, by the control topic."""

import logging
import re
from collections.abc import Mapping

from pydantic import Field

from inference.control.commands import (
    Author,
    CommandError,
    ControlEntry,
    ModelVersion,
    Remark,
    Withdrawal,
    read_entry,
)
from inference.control.signatures import CommandKeys, UntrustedCommandError, check_entry
from streams.kafka.records.control_topic import ControlRecord

logger = logging.getLogger(__name__)

SHADOW = "shadow"
"""What a key of `signing.trusted_keys` may do, and what the keys of these records begin with."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


class ShadowCommand(ControlEntry):
    """Under ``shadow/NAME``: this model is tried, beside whatever answers.

    Attributes:
        place: which of all models that were tried it is, from 1 on; 0 where nobody counted yet.
        by, note, at: who said so, why, and when, UTC milliseconds.
    """

    model: ModelVersion
    place: int = Field(default=0, ge=0)
    by: Author
    note: Remark = ""
    at: int


def shadow_key(name: str) -> str:
    """The key of a candidate's record.

    Raises:
        CommandError: it is no name for one.
    """
    check_name(name)
    return f"{SHADOW}/{name}"


def check_name(name: str) -> None:
    """Refuse what is no name of a candidate: it stands in metrics, logs and records.

    Raises:
        CommandError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"candidate {name!r}: a name has letters, digits, '.', '_' and '-', begins with one of "
            "the first two, and has 60 of them at most"
        )


class ShadowBook:
    """Hears which candidates come and go, in the order of the control topic.

    Args:
        keys: whose commands count. Of signed ones, one that is no later than what stands is
            refused: whoever may write, but has no key, could say it again.
    """

    def __init__(self, keys: CommandKeys) -> None:
        self._keys = keys
        self._stands: dict[str, ShadowCommand | Withdrawal] = {}

    @property
    def wanted(self) -> Mapping[str, ModelVersion]:
        """The candidates, by name."""
        return {name: said.model for name, said in self.commands.items()}

    @property
    def commands(self) -> Mapping[str, ShadowCommand]:
        """What was said of each candidate."""
        return {
            name: said for name, said in self._stands.items() if isinstance(said, ShadowCommand)
        }

    @property
    def left(self) -> frozenset[str]:
        """Names of candidates that somebody has taken away."""
        return frozenset(self._stands.keys() - self.commands.keys())

    def place(self, name: str) -> int:
        """Which candidate this is, from 1 on: those count that came before it, and all that left.

        Else whoever takes away what fails would be wrong more often than was said.

        Raises:
            ValueError: it is none.
        """
        commands = self.commands
        left = len(self._stands) - len(commands)
        order = sorted(commands, key=lambda each: (commands[each].at, each))
        return max(commands[name].place, left + order.index(name) + 1)

    def next_place(self, name: str, model: ModelVersion) -> int:
        """The place of a model that is to be tried under a name: the next one, unless it is there.

        Another one under the name of one that stands, or that left, is one more.
        """
        said = self.commands.get(name)
        if said is not None and said.model == model:
            return self.place(name)
        return max([len(self._stands), *(each.place for each in self._stands.values())]) + 1

    def stands_since(self, name: str) -> int:
        """When what stands of a name was said, that it leaves included; 0 for nothing."""
        said = self._stands.get(name)
        return 0 if said is None else said.at

    def hear(self, record: ControlRecord) -> bool:
        """Take note of a record, if it is of a candidate; whether it is, and counts."""
        kind, _, name = record.key.partition("/")
        if kind != SHADOW:
            return False
        try:
            said = self._admitted(record, name)
        except (CommandError, UntrustedCommandError) as error:
            logger.error("refused: %s", error)
            return False
        if said is None:
            self._stands.pop(name, None)
        else:
            self._stands[name] = said
        return True

    def _admitted(self, record: ControlRecord, name: str) -> ShadowCommand | Withdrawal | None:
        check_name(name)
        author = self._keys.author(record)
        said = read_entry(ShadowCommand, record)
        if said is not None:
            check_entry(record, author, said, self._stands.get(name))
        return said
