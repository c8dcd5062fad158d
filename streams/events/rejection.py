"""Why one record is no event."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a record was rejected. Values are stable: they stand in dead letters and metrics."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    MISSING_FIELD = "missing_field"
    NULL_FIELD = "null_field"
    WRONG_TYPE = "wrong_type"
    NOT_EXACT = "not_exact"
    NOT_A_NUMBER = "not_a_number"
    INFINITE = "infinite"
    OUT_OF_BOUNDS = "out_of_bounds"
    TOO_LONG = "too_long"
    BAD_TIME = "bad_time"
    BEFORE_MIN_TIME = "before_min_time"
    FROM_THE_FUTURE = "from_the_future"
    BAD_FRAME = "bad_frame"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_SCHEMA = "wrong_schema"
    BAD_BODY = "bad_body"
    BREAKS_SCHEMA = "breaks_schema"
    BAD_BATCH = "bad_batch"
    """No record, but a batch of them, which can't be unpacked."""
    FAILED = "failed"
    """It is an event, and answering it failed twice; everything around it was answered."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that is no event.

    Attributes:
        position: its index in the batch.
        reason: the first thing found wrong: the record as a whole, then its time, then the fields
            in the contract's order.
        field: the field at fault, ``None`` where it is the record as a whole.
        detail: a sentence for a human, with at most a short excerpt of the record.
    """

    position: int
    reason: Reason
    field: str | None
    detail: str


class Finding(NamedTuple):
    """What is wrong with a record: a `Rejected` that does not know its position."""

    reason: Reason
    field: str | None
    detail: str
