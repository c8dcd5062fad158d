"""Headers of an event's Kafka record, which are read and carried as if they were fields of it."""

from collections.abc import Sequence

from streams.events.contract import EventContract, FieldType

PREFIX = "header:"
"""What is named ``header:NAME`` is the header of that name, and no field of the event."""
LONGEST_TEXT = 256
"""Characters of a text that goes along with an event, a header's or a field's."""


def headers_among(names: Sequence[str]) -> list[str]:
    """Those of these names that are of headers, as they are written, each once."""
    return [name for name in dict.fromkeys(names) if name.startswith(PREFIX)]


def header_of(name: str) -> str:
    """The name of the header in the record, of one of `headers_among`."""
    return name.removeprefix(PREFIX)


def type_of(contract: EventContract, name: str) -> FieldType:
    """The type of a field of the event, or of a header: text.

    Raises:
        KeyError: the contract declares no such field.
    """
    return "string" if name.startswith(PREFIX) else contract.fields[name].type


def check_names(contract: EventContract, names: Sequence[str]) -> None:
    """Look whether each of these names is of a field of the event or of a header.

    Raises:
        ValueError: one is not, or may be of both.
    """
    for name in names:
        if not name.startswith(PREFIX):
            if name not in contract.fields:
                raise ValueError(
                    f"{name!r}, which is not among event.fields ({', '.join(contract.fields)}); "
                    f"a header of the event's record is written '{PREFIX}NAME'"
                )
        elif not header_of(name).strip():
            raise ValueError(f"{name!r}, which lacks the header's name: write '{PREFIX}NAME'")
        elif name in contract.fields:
            raise ValueError(
                f"{name!r}, which is of a header of the event's record, and event.fields declares "
                "a field of that name, too: rename the field at the producer"
            )
