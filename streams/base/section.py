"""The base of every settings section, durations such as ``"7d"``, and time zones."""

import os
import re
from socket import gethostname
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from streams.base.secret_fields import remember_secrets

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LONGEST_DAYS = 36_500
"""Times are added to durations, in whole numbers of 64 bits, some of them in nanoseconds."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def parse_duration(text: str) -> int:
    """Return the milliseconds in a duration such as ``"500ms"``, ``"1.5h"`` or ``"7d"``.

    Raises:
        ValueError: the text is no duration, or is one of more than a hundred years.

    >>> parse_duration("7d")
    604800000
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no duration: write a number and a unit of ms, s, m, h, d or w, like '7d'"
        )
    milliseconds = float(match[1]) * _UNITS_MS[match[2]]
    if milliseconds > _LONGEST_DAYS * _UNITS_MS["d"]:
        raise ValueError(f"that is longer than a hundred years: write at most '{_LONGEST_DAYS}d'")
    return round(milliseconds)


def format_duration(milliseconds: int) -> str:
    """Return a duration as ``weir.toml`` has it, in the largest unit up to days that divides it.

    >>> format_duration(1_209_600_000)
    '14d'
    """
    unit = next(each for each in ("d", "h", "m", "s", "ms") if milliseconds % _UNITS_MS[each] == 0)
    return f"{milliseconds // _UNITS_MS[unit]}{unit}"


def _validate_duration(value: Any) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 or (isinstance(value, int) and not isinstance(value, bool)):
        raise ValueError("write the unit too, like '7d' or '500ms'")
    raise ValueError("a duration is a string such as '7d'")


Duration = Annotated[int, BeforeValidator(_validate_duration)]
"""A settings field written as ``"7d"`` and read as ``int`` milliseconds.

Defaults are written in milliseconds: pydantic does not validate them.
"""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone: write one such as 'Europe/Paris'") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""The name of a time zone, such as ``Europe/Paris``."""


LONGEST_NAME = 249
"""Characters, as Kafka has it for topics: names stand in records, metrics, logs and ids."""

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
"""What people call a thing."""


class Section(BaseModel):
    """A frozen part of the settings; a key that it does not know is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    @model_validator(mode="before")
    @classmethod
    def _mask_secrets(cls, values: Any) -> Any:
        """From here on nothing shows what was given for a secret, be it right or wrong."""
        remember_secrets(cls, values)
        return values


class WorkerSection(Section):
    """A section of a process that is one of several.

    Attributes:
        worker: names this one of them for as long as it lives, such as a pod's name; empty for the
            machine's name and the process's number.
    """

    worker: str = Field(default="", max_length=100)

    @property
    def worker_name(self) -> str:
        """Who we are among several."""
        return self.worker or f"{gethostname()}-{os.getpid()}"
