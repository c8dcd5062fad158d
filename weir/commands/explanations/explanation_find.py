"""`weir explanation find`: which decisions were explained."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
import typer

from explain.errors import ExplainError
from explain.record.record import Record, RecordError, read
from explain.store.people.queries import Erased, Found, Query
from explain.writing.key_ring import KeyRing
from weir.cli.console import ConfigOption, JsonOption, print_json, stderr, stdout
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.cli.explanation_lookup import erasure_of, open_reader
from weir.cli.explanation_view import found_table
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.commands.explanations.tokens import identifier_of, ring_file
from weir.config.settings import Settings, load_settings

_MOST_READ = 10_000
"""Records that are read, at most, where a condition is none of the store's."""


def find(
    config: ConfigOption = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="VALUE",
            help="Only events with this key, such as a customer's number; - reads it from "
            "standard input. The key ring makes its token.",
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Only events whose key has this token.")
    ] = None,
    start: FromOption = None,
    stop: ToOption = None,
    decision: Annotated[
        Literal["approve", "review", "decline"] | None,
        typer.Option(help="Only events with this decision."),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Only explanations with the reason of this code."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Only answers of this model: its number, or its package's id or the beginning of "
            "that.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 50,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """List explanations, those of the latest events first.

    Of several conditions all have to be fulfilled.
    """
    settings = load_settings(config)
    from_ms, to_ms = time_range_ms(start, stop)
    if key is not None:
        if token is not None:
            raise typer.BadParameter("give --key or --token, not both")
        token = _token(settings, key)
    query = Query(event_key=token, from_ms=from_ms, to_ms=to_ms, outcome=decision)
    sifted = code is not None or model is not None
    with open_reader(settings, by, note, "find") as reader:
        found = reader.find(query, max(limit, _MOST_READ) if sifted else limit)
    unreadable: list[RecordError] = []
    fitting = [record for record in _parsed(found, unreadable) if _fits(record, code, model)]
    records = fitting[:limit]
    # What an erased one said is not known, so it fits no reason and no model.
    erased = [each for each in found if isinstance(each, Erased) and not sifted]
    if as_json:
        said = {"records": records, "erased": erased, "unreadable": len(unreadable)}
        print_json(msgspec.to_builtins(said))
    elif records:
        stdout.print(found_table(records))
    elif not erased:
        stdout.print("no explanation fits")
    if erased and not as_json:
        stdout.print(
            f"erased: {len(erased):,} that fit, such as: {erasure_of(erased[0])}", soft_wrap=True
        )
    if unreadable:
        stderr.print(
            f"{len(unreadable):,} records can't be read, such as: {unreadable[0]}; `weir audit "
            "verify` tells whether they were changed",
            soft_wrap=True,
        )
    if sifted and len(found) >= _MOST_READ and len(fitting) < limit:
        stderr.print(
            f"only the latest {len(found):,} were looked at: narrow --from and --to", soft_wrap=True
        )


def _token(settings: Settings, key: str) -> str:
    field = settings.event.key
    identifier = identifier_of(settings, field, key)
    with KeyRing(ring_file(settings)) as ring:
        token = ring.known(field, identifier)
    if token is None:
        raise ExplainError(
            f"no {field} of this value has a token: none was explained, or its key was erased"
        )
    return token


def _parsed(found: list[Found], unreadable: list[RecordError]) -> Iterator[Record]:
    for data in found:
        if isinstance(data, Erased):
            continue
        try:
            yield read(data)
        except RecordError as error:
            unreadable.append(error)


def _fits(record: Record, code: str | None, model: str | None) -> bool:
    if code is not None and all(reason.code != code for reason in record.reasons):
        return False
    if model is None or record.model.package.startswith(model):
        return True
    return model == str(record.model.version)
