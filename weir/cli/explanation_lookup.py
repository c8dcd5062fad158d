"""How one explanation record is named on the command line, and read for one person."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from explain.errors import ExplainError
from explain.record.record import Record, RecordError, read
from explain.store.people.queries import Erased, Query, Reader
from weir.cli.dates import moment
from weir.cli.login import login_or
from weir.config.settings import Settings

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The record's id, or that of its event.", show_default=False),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--lang",
        metavar="LANGUAGE",
        show_default="en, or what the record has",
        help="Language of the texts, such as en or de.",
    ),
]

_RECORD_ID = re.compile("[0-9a-f]{32}")
_PACKAGES = 100
"""Of one event, more than anybody tells apart by hand."""


class NoRecordError(ExplainError):
    """The store has no such record, or several, or its bytes were erased."""


@contextmanager
def open_reader(settings: Settings, by: str | None, note: str, command: str) -> Iterator[Reader]:
    """The store, for whoever `by` names or who is logged in; each read is logged under that name.

    Raises:
        StoreUnavailableError, StoreError: the database does not answer, or can't be used.
    """
    with settings.store.open_database(settings.data_dir) as database:
        yield Reader(database, login_or(by), note=note or f"weir explanation {command}")


def look_up(reader: Reader, name: str) -> tuple[bytes, Record]:
    """The record of this id, or of the event of this id: its bytes, and what they say.

    Raises:
        NoRecordError: there is none, or the event has several, or it was erased.
        RecordError: it is none, because it was changed.
    """
    if _RECORD_ID.fullmatch(name) and (got := reader.get(name)) is not None:
        if isinstance(got, Erased):
            raise NoRecordError(f"record {erasure_of(got)}: nothing is left to show of it")
        return got, read(got)
    found: list[tuple[bytes, Record]] = []
    unreadable: RecordError | None = None
    for data in reader.find(Query(event_id=name), _PACKAGES):
        if isinstance(data, Erased):  # no event leads to it, unless somebody wrote that in
            continue
        try:
            record = read(data)
        except RecordError as error:
            unreadable = error
            continue
        if str(record.event.id) == name:
            found.append((data, record))
    if not found:
        if unreadable is not None:
            raise unreadable
        raise NoRecordError(
            f"the store has no record and no event {name!r}: `weir explanation find` lists what it "
            "has, and `weir sink` fills it"
        )
    if len(found) > 1:
        ids = ", ".join(
            f"{record.id} (model {record.model.version or record.model.package[:12]})"
            for _, record in found
        )
        raise NoRecordError(f"event {name} was explained {len(found)} times: name one of {ids}")
    return found[0]


def erasure_of(erased: Erased) -> str:
    """Which record was erased, when, by whom and under which act, in words."""
    return f"{erased.id} was erased on {moment(erased.time, 's')} by {erased.who}, act {erased.act}"
