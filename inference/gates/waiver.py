"""A waiver: a person's word that a model may become champion though a gate is not passed."""

from inference.control.commands import (
    Author,
    CommandError,
    ControlEntry,
    PackageId,
    Remark,
    read_command,
)
from inference.control.signatures import CommandKeys, check_author
from streams.kafka.records.control_topic import ControlRecord

WAIVE = "waiver"
"""What a key of `signing.trusted_keys` may do, and what the keys of these records begin with."""


class Waiver(ControlEntry):
    """Under ``waiver/PACKAGE``: this model may become champion all the same.

    Attributes:
        beside: the package that was champion then; beside another one it counts for nothing.
        by, note, at: who said so, why, and when, UTC milliseconds.
    """

    package: PackageId
    beside: PackageId
    by: Author
    note: Remark
    at: int


def waiver_key(package: str) -> str:
    """The key of a package's waiver."""
    return f"{WAIVE}/{package}"


def waiver_in(
    record: ControlRecord | None, keys: CommandKeys, package: str, champion: str, since: int
) -> Waiver | None:
    """The waiver in a record, if it counts for this package beside this champion.

    Args:
        since: when the champion was made so, UTC milliseconds. One that was given before has been
            used: it is not said of a model that was promoted by it, and rolled back.

    Raises:
        UntrustedCommandError: its author may not give it.
    """
    if record is None:
        return None
    author = keys.author(record)
    try:
        said = read_command(Waiver, record)
    except CommandError:
        return None
    if said is None or (said.package, said.beside) != (package, champion) or said.at <= since:
        return None
    check_author(f"{record.key}: the record at {record.place}", author, said.by)
    return said
