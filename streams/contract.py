"""The event contract: what a record of the input topic must hold."""

from typing import Literal

from pydantic import Field as PydanticField
from pydantic import model_validator

from streams.section import Duration, Section


class Field(Section):
    """One field of an event."""

    type: Literal["int", "float", "bool", "string"]
    unit: str = ""
    description: str = ""
    required: bool = True
    min: float | None = None
    max: float | None = None
    max_length: int | None = None


class EventContract(Section):
    """The ``[event]`` section: names of the id, time and key fields, and every field's bounds."""

    id: str
    time: str
    key: str
    time_format: Literal["s", "ms", "us", "iso"] = "ms"
    max_future: Duration = 300_000
    max_bytes: int = 1_000_000
    fields: dict[str, Field] = PydanticField(min_length=1)

    @model_validator(mode="after")
    def _id_time_and_key_are_usable(self) -> "EventContract":
        for role in ("id", "key"):
            name = getattr(self, role)
            field = self.fields.get(name)
            if field is None:
                raise ValueError(f"{role} = {name!r} is not among event.fields: declare it there")
            if field.type not in ("int", "string") or not field.required:
                raise ValueError(f"{role} field {name!r} must be a required int or string")
        if self.time in self.fields:
            raise ValueError(
                f"time field {self.time!r} is declared by event.time and event.time_format: "
                "remove it from event.fields"
            )
        return self
