"""Days, times and durations, as the command line takes and shows them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from streams.base.clock import utc
from streams.base.section import parse_duration

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="First time that counts: 2018-07-25 or 2018-07-25T12:00, UTC.",
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="Where to end; this time itself is left out."),
]


def parse_time_ms(text: str, option: str | None = None) -> int:
    """UTC milliseconds of an ISO 8601 day or time; without an offset it is UTC.

    `option` is the one that the error names.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2018-07-25 or 2018-07-25T12:00", param_hint=option
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


def parse_duration_ms(text: str, option: str) -> int:
    """Milliseconds of a duration such as 7d.

    Raises:
        typer.BadParameter: it is none; the error names the option.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def time_range_ms(start: str | None, stop: str | None) -> tuple[int | None, int | None]:
    """First and end (exclusive) in milliseconds; None where nothing is given."""
    first = None if start is None else parse_time_ms(start, "--from")
    last = None if stop is None else parse_time_ms(stop, "--to")
    if first is not None and last is not None and first >= last:
        raise typer.BadParameter(f"--from {start} is not before --to {stop}")
    return first, last


def moment(time_ms: int | None, precision: Literal["ms", "s"] = "ms") -> str:
    """A time as people read it, UTC; to the second it is short, without its zone."""
    if time_ms is None:
        return "-"
    return utc(time_ms) if precision == "ms" else utc(time_ms, "s").removesuffix(" UTC")
