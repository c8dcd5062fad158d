"""Rows of a file that are left out, as a person reads of them."""

from collections.abc import Iterable
from pathlib import Path

from streams.files.event_file import EventFile
from streams.files.row_checks import RejectedRows
from weir.cli.console import stderr


def report_rejected(file: EventFile) -> None:
    """Say on stderr which rows of a file are no events, or repeats."""
    report_left_out(file.path, file.rejected, file.repeats or 0)


def report_left_out(path: Path, rejected: Iterable[RejectedRows], repeats: int) -> None:
    """The same of a file that was read elsewhere."""
    for each in rejected:
        stderr.print(f"{path}: left out, as the stream would: {each}", soft_wrap=True)
    if repeats:
        stderr.print(
            f"{path}: left out, as the stream would: {repeats:,} repeats (event.deduplicate)",
            soft_wrap=True,
        )
