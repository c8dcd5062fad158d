"""Rows of a file that are left out, as a person reads of them."""

from streams.files.event_file import EventFile
from weir.cli.console import stderr


def report_rejected(file: EventFile) -> None:
    """Say on stderr which rows of a file are no events, or repeats."""
    for each in file.rejected:
        stderr.print(f"{file.path}: left out, as the stream would: {each}", soft_wrap=True)
    if file.repeats:
        stderr.print(
            f"{file.path}: left out, as the stream would: {file.repeats:,} repeats "
            "(event.deduplicate)",
            soft_wrap=True,
        )
