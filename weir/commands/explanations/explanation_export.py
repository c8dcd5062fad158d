"""`weir explanation export`: an explanation as a file, for a customer or for the files."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from explain.errors import ExplainError
from explain.record.record import Record
from explain.reports.analyst_sheet import Sheet, language_of, sheet_of
from explain.reports.customer_letter import CustomerLetter, customer_letter_of
from explain.reports.pages.html import html_of
from weir.cli.console import ConfigOption, write_file
from weir.cli.explanation_lookup import IdArgument, LanguageOption, look_up, open_reader
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.config.settings import Settings, load_settings


class Format(StrEnum):
    """Of the file."""

    JSON = "json"
    HTML = "html"
    PDF = "pdf"


class Audience(StrEnum):
    """Who it is for."""

    ANALYST = "analyst"
    CUSTOMER = "customer"
    BOTH = "both"


def export(
    name: IdArgument,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", show_default=False, help="Write there; - is stdout."
        ),
    ],
    kind: Annotated[
        Format, typer.Option("--format", "-f", help="Format of the file.", show_default=False)
    ],
    audience: Annotated[
        Audience,
        typer.Option(
            "--for",
            help="The sheet for the analyst, the letter to the customer, or "
            "both, on pages of their own.",
        ),
    ] = Audience.BOTH,
    language: LanguageOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    config: ConfigOption = None,
) -> None:
    """Write the letter to the customer, the analyst's sheet, or both, as PDF, HTML or JSON.

    --format json --for analyst is the record itself, byte for byte as it is stored. The letter's
    words are those of the catalogue and of [letters] in the settings.
    """
    settings = load_settings(config)
    with open_reader(settings, by, note, f"export for {audience}") as reader:
        data, record = look_up(reader, name)
    language = language_of(record, language)
    today = datetime.now(UTC).date()
    letter = None
    if audience is not Audience.ANALYST:
        letter = customer_letter_of(record, settings.letters, language, today)
    sheet = None if audience is Audience.CUSTOMER else sheet_of(record, language)
    match kind:
        case Format.JSON:
            content = _json(data, letter, None if sheet is None else record)
        case Format.HTML:
            content = html_of(letter, sheet).encode()
        case Format.PDF:
            content = _pdf(letter, sheet, settings)
    write_file(out, [content])


def _json(data: bytes, letter: CustomerLetter | None, record: Record | None) -> bytes:
    if letter is None:
        return data
    parts = {"letter": asdict(letter)}
    if record is not None:
        parts["record"] = msgspec.to_builtins(record)
    return (json.dumps(parts, indent=2, ensure_ascii=False) + "\n").encode()


def _pdf(letter: CustomerLetter | None, sheet: Sheet | None, settings: Settings) -> bytes:
    try:
        from explain.reports.pages.pdf import pdf_of
    except ModuleNotFoundError as error:
        raise ExplainError(f"PDF needs {error.name}: pip install 'weir[pdf]'") from error
    return pdf_of(letter, sheet, settings.letters)
