"""How letters are chosen on the command line."""

from typing import Annotated

import typer

from streams.dead_letters.reader import RecordAddress, Selection
from streams.events.rejection import Reason
from weir.cli.dates import time_range_ms

ReasonOption = Annotated[
    list[Reason] | None,
    typer.Option(help="Rejected for this reason; may be given again.", show_choices=False),
]
TopicOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The topic that the record stands in.")
]
PartitionOption = Annotated[int | None, typer.Option(min=0, help="The record's partition there.")]
KeyOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="The record's key; 0x… for one that is no text.")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Rejected at this time or later: 2026-11-05 or 2026-11-05T12:00, UTC.",
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Rejected before this time.")
]
IdOption = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="This record; may be given again.")
]
RequeuedOption = Annotated[
    bool | None,
    typer.Option(
        "--requeued/--waiting",
        show_default=False,
        help="Only those that were requeued, or only those that were not.",
    ),
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Do it. Without, only say what would be done.")
]


def selection(
    reasons: list[Reason] | None,
    topic: str | None,
    partition: int | None,
    key: str | None,
    start: str | None,
    stop: str | None,
    ids: list[str] | None,
    requeued: bool | None,
) -> Selection:
    """The selection that options make.

    Raises:
        typer.BadParameter: one of them can't be read.
    """
    first, last = time_range_ms(start, stop)
    return Selection(
        reasons=frozenset(reason.value for reason in reasons or ()),
        topic=topic,
        partition=partition,
        key=None if key is None else _key(key),
        from_ms=first,
        to_ms=last,
        places=frozenset(parse_place(each) for each in ids or ()),
        requeued=requeued,
    )


def _key(text: str) -> bytes:
    if not text.startswith("0x"):
        return text.encode()
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not hexadecimal", param_hint="--key") from error


def parse_place(text: str) -> RecordAddress:
    """Where a record stands.

    Raises:
        typer.BadParameter: the text does not say.
    """
    try:
        return RecordAddress.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ID") from error
