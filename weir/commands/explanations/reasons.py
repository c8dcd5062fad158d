"""``weir reasons``: the catalogue of reasons in words."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from explain.reasons.catalogue import Band, Catalogue, Entry, Wording
from explain.reasons.catalogue_file import CatalogueError
from explain.reasons.catalogue_rules import Problem
from explain.reasons.coverage_check import check_catalogue
from weir.cli.console import FAILED, ConfigOption, JsonOption, print_json, stdout
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings
from weir.reasons import catalogue_file, open_catalogue

app = typer.Typer(
    help="What decisions are explained by: the catalogue of reasons in words.", no_args_is_help=True
)


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Find what is wrong with the catalogue, beside the features that are declared.

    Features without a reason in some direction, entries for features that are not there, texts
    that a language lacks, bands that no value reaches, and texts that tell the customer too much.
    Exit code 1 if there is any.
    """
    settings = load_settings(config)
    path = catalogue_file(settings.reasons)
    try:
        catalogue = open_catalogue(settings.reasons)
        problems = _problems(catalogue, settings)
    except CatalogueError as error:
        catalogue, problems = None, list(error.problems)
    if as_json:
        said = _identity(catalogue) if catalogue is not None else {}
        print_json({"file": path, **said, "problems": [asdict(each) for each in problems]})
    elif problems:
        for problem in problems:
            stdout.print(f"{path}: {problem}", soft_wrap=True)
    elif catalogue is not None:
        stdout.print(
            f"{path}: {catalogue.name} {catalogue.version} has a reason for every value of "
            f"{len(settings.features)} features, in {' and '.join(catalogue.languages)}",
            soft_wrap=True,
        )
    if problems:
        raise typer.Exit(FAILED)


@app.command()
def show(
    language: Annotated[
        str | None,
        typer.Option(
            help="Language of the texts; by default the catalogue's first.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the catalogue: which code and texts a value of a feature gets."""
    settings = load_settings(config)
    path = catalogue_file(settings.reasons)
    try:
        catalogue = open_catalogue(settings.reasons)
    except CatalogueError as error:
        raise SettingsError(str(error)) from error
    if as_json:
        print_json({"file": path, **_identity(catalogue), **catalogue.model_dump(mode="json")})
        return
    language = language or catalogue.languages[0]
    if language not in catalogue.languages:
        raise SettingsError(
            f"--language: {path} has no texts in {language!r}: choose "
            f"{' or '.join(catalogue.languages)}"
        )
    stdout.print(f"{path}: {catalogue.name} {catalogue.version}", soft_wrap=True)
    table = Table(
        "feature or group", "value", "code", "for the analyst", "for the customer", show_lines=True
    )
    for entry in catalogue.entries:
        table.add_row(_subject(entry), _values(entry), *_told(entry, language))
    table.add_row("", "no reason", *_told(catalogue.fallback, language))
    stdout.print(table)


def _problems(catalogue: Catalogue, settings: Settings) -> list[Problem]:
    plan = settings.plan()
    return check_catalogue(
        catalogue,
        plan.declarations,
        plan.contract,
        settings.explain.groups,
        settings.reasons.languages,
    )


def _identity(catalogue: Catalogue) -> dict[str, object]:
    return {
        "name": catalogue.name,
        "version": catalogue.version,
        "sha256": catalogue.sha256,
        "languages": catalogue.languages,
    }


def _values(entry: Entry) -> str:
    """Which values an entry is for, in words."""
    return " ".join([entry.direction, _band(entry.band)] if entry.band else [entry.direction])


def _band(band: Band) -> str:
    low = None if band.at_least is None else f"at least {band.at_least:g}"
    high = None if band.below is None else f"below {band.below:g}"
    return ", ".join(part for part in (low, high) if part)


def _subject(entry: Entry) -> str:
    if entry.group is None:
        return str(entry.feature)
    return f"group {entry.group}" + (f" by {entry.by}" if entry.by else "")


def _told(wording: Wording, language: str) -> tuple[str, Text, Text]:
    analyst, customer = Text(wording.analyst[language]), Text(wording.customer[language])
    return wording.code, analyst, customer
