"""Labels: what became known of an event later, on a topic of their own.

A label is ``{"event_id": …, "label": 0 or 1, "time": …}``, its time being when it became known.
A record without a value and with the header ``weir.progress`` says that every label up to that
time has been sent, so that a reader of history need not wait for a label that does not exist.
"""

import re

import msgspec
from pydantic import Field as PydanticField

from streams.base.section import Duration, Name, Section
from streams.events.contract import EventContract, Field
from streams.events.label_rules import MOST_RULES, LabelRule

PROGRESS_HEADER = "weir.progress"
BY_HEADER, NOTE_HEADER = "weir.label.by", "weir.label.note"
"""Of an analyst's verdict: who says so, and why."""

_TIME = re.compile(rb"-?[0-9]{1,15}")


class LabelSettings(Section):
    """The ``[labels]`` section.

    Attributes:
        field: the column of a file that holds the label (1 or true for fraud); events never
            carry it.
        delay: how long after its event a label becomes known.
        rules: what analysts go by while it is not known; see docs/weak-labels.md.
    """

    field: Name = "is_fraud"
    delay: Duration = 604_800_000
    rules: tuple[LabelRule, ...] = PydanticField(default=(), max_length=MOST_RULES)


class Label(msgspec.Struct, gc=False):
    """One record of the labels topic."""

    event_id: int | str
    label: int
    time: int


def label_contract(events: EventContract) -> EventContract:
    """What a label must hold, given the events that it is about."""
    id_field = events.fields[events.id]
    fields = {"event_id": Field(type=id_field.type), "label": Field(type="int", min=0, max=1)}
    return events.model_copy(
        update={
            "id": "event_id",
            "time": "time",
            "key": "event_id",
            "time_format": "ms",
            "fields": fields,
        }
    )


def progress_header(time_ms: int) -> list[tuple[str, str | bytes | None]]:
    """Headers of a record that says: all labels up to this time have been sent."""
    return [(PROGRESS_HEADER, str(time_ms))]


def read_progress(headers: list[tuple[str, bytes | None]] | None) -> int | None:
    """The time up to which labels are complete, or None if the record does not say."""
    for name, value in headers or ():
        if name == PROGRESS_HEADER and value is not None and _TIME.fullmatch(value):
            return int(value)
    return None


def said_by(headers: list[tuple[str, bytes | None]] | None) -> str | None:
    """Which analyst a label is from; None where it is none's verdict."""
    names = [value for name, value in headers or () if name == BY_HEADER and value]
    return names[-1].decode(errors="replace") if names else None
