"""What all formats with a schema share: reading one record as its writer's schema says."""

from typing import Any, Protocol

from streams.events.contract import EventContract
from streams.events.rejection import Finding, Reason

HEADER_BYTES = 5
"""Of Confluent's wire format: a zero byte and the schema's id, four bytes, big-endian."""


class WrongSchemaError(Exception):
    """A schema that can't be one of events; the message says why."""


class SchemaNotReadyError(Exception):
    """A schema is needed, and can't be had yet, for a reason that is not in it and will pass."""


class BadBodyError(Exception):
    """What stands behind the header is not what the schema says."""

    reason = Reason.BAD_BODY


class BadIndexError(BadBodyError):
    """The message indexes of a Protobuf record lead nowhere."""

    reason = Reason.BAD_FRAME


class SchemaReader(Protocol):
    """Reads records of one type.

    Attributes:
        contract: the event contract, its time in the unit that the schema gives it.
        type: the `record_type` of the records.
    """

    contract: EventContract
    type: Any

    def record(self, frame: bytes) -> Any:
        """Return the record in a frame, a struct of the contract.

        Raises anything at all if the frame holds none that is plain: `second_look` tells why. A
        float may still be NaN or infinite, and a text no time.
        """

    def second_look(self, frame: bytes, now_ms: int) -> dict[str, Any] | Finding:
        """Return the fields of a record that `record` did not take, or what is wrong with it.

        As `read_fields`: a number may be written as text.
        """


class CompiledSchema(Protocol):
    """A schema, ready to read what was written with it."""

    def reader_of(self, frame: bytes) -> SchemaReader:
        """Return what reads this frame.

        Raises:
            BadIndexError: it names a message that the schema does not have.
        """


def bad_body(error: Exception) -> Finding:
    """The finding for an error in reading a body; foreign ones are named, not quoted."""
    if isinstance(error, BadBodyError):
        return Finding(error.reason, None, str(error))
    detail = f"the record is not what its schema says ({type(error).__name__})"
    return Finding(Reason.BAD_BODY, None, detail)
