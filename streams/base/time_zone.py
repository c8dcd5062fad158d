"""Time zones in settings and declarations."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone: write one such as 'Europe/Paris'") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known)]
"""The name of a time zone, such as ``Europe/Paris``."""
