"""The event contract: what a record of the input topic must hold."""

import math
from typing import Literal

from pydantic import Field as PydanticField
from pydantic import field_validator, model_validator

from streams.base.section import LONGEST_NAME, Duration, Section
from streams.events.times import Moment, TimeFormat
from streams.events.values import INT64_MAX, INT64_MIN

FieldType = Literal["int", "float", "bool", "string"]


class Field(Section):
    """One field of an event. Bounds are inclusive; ``max_length`` counts characters."""

    type: FieldType
    unit: str = ""
    description: str = ""
    required: bool = True
    min: int | float | None = None
    max: int | float | None = None
    max_length: int | None = PydanticField(default=None, ge=1)

    @model_validator(mode="after")
    def _limits_fit_the_type(self) -> "Field":
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is None:
                continue
            if self.type not in ("int", "float"):
                raise ValueError(f"{name} is for int and float fields, this is a {self.type}")
            if isinstance(bound, float) and not math.isfinite(bound):
                raise ValueError(f"{name} = {bound} is no bound: leave {name} out for none")
        if self.max_length is not None and self.type != "string":
            raise ValueError(f"max_length is for string fields, this is a {self.type} field")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min = {self.min:g} is above max = {self.max:g}: swap them")
        if self.type == "int":
            low, high = self.int_bounds
            if low > high:
                raise ValueError("no 64-bit integer lies between min and max")
        return self

    @property
    def int_bounds(self) -> tuple[int, int]:
        """The least and the greatest integer that an int field may hold, within int64."""
        low = INT64_MIN if self.min is None else max(INT64_MIN, math.ceil(self.min))
        high = INT64_MAX if self.max is None else min(INT64_MAX, math.floor(self.max))
        return low, high


class EventContract(Section):
    """The ``[event]`` section: names of the id, time and key fields, and every field's bounds.

    Any ``format`` but plain JSON needs a schema registry. Fields are named as in the record,
    whatever the characters. Fields that a record has beyond these are ignored.

    An event whose id came before in its partition, up to ``deduplicate`` of event time ago, is a
    repeat: neither answered nor taken into windows. Without it every record is an event of its own.
    Of each partition the latest ``max_remembered_ids`` ids are remembered.
    """

    id: str
    time: str
    key: str
    time_format: TimeFormat = "ms"
    format: Literal["json", "avro", "protobuf", "json_schema"] = "json"
    min_time: Moment = 946_684_800_000  # the year 2000
    max_future: Duration = 300_000
    max_bytes: int = PydanticField(default=1_000_000, ge=1)
    deduplicate: Duration | None = None
    # Ids are numbered in 32 bits, half of which the ring that holds them may take.
    max_remembered_ids: int = PydanticField(default=100_000_000, ge=1, le=1_500_000_000)
    fields: dict[str, Field] = PydanticField(min_length=1)

    @field_validator("fields")
    @classmethod
    def _names_can_be_told_apart(cls, fields: dict[str, Field]) -> dict[str, Field]:
        for name in fields:
            _check_name(name)
        return fields

    @field_validator("time")
    @classmethod
    def _time_has_a_name(cls, time: str) -> str:
        _check_name(time)
        return time

    @field_validator("deduplicate")
    @classmethod
    def _deduplicate_reaches_somewhere(cls, deduplicate: int | None) -> int | None:
        if deduplicate == 0:
            raise ValueError(
                "0 tells no repeats: write how long ids are remembered, like '7d', or leave it out"
            )
        return deduplicate

    @model_validator(mode="after")
    def _id_time_and_key_are_usable(self) -> "EventContract":
        for role in ("id", "key"):
            name = getattr(self, role)
            field = self.fields.get(name)
            if field is None:
                raise ValueError(
                    f"{role} = {name!r} is not among event.fields "
                    f"({', '.join(self.fields)}): declare it there"
                )
            if field.type not in ("int", "string") or not field.required:
                raise ValueError(
                    f"{role} field {name!r} must be a required int or string, "
                    f"it is {'a required' if field.required else 'an optional'} {field.type}"
                )
        if self.time in self.fields:
            raise ValueError(
                f"time field {self.time!r} is declared by event.time and event.time_format: "
                "remove it from event.fields"
            )
        return self


def _check_name(name: str) -> None:
    if not name:
        raise ValueError("a field's name is empty")
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"field name {name[:40]!r}… has {len(name):,} characters: at most {LONGEST_NAME} may be"
        )
    if any(character in '"\\' or character < " " for character in name):
        raise ValueError(
            f"field name {name!r} holds a quote, a backslash or a control character: "
            "rename the field at the producer"
        )
