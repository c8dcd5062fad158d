"""`weir models dossier`: all that is known of a model, as one file."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from explain.errors import ExplainError
from explain.store.act_book import ActBook
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout, write_file
from weir.cli.login import LONGEST_BY, LONGEST_NOTE, at_most, login_or
from weir.commands.models.rooms import viewing_room
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings
from weir.dossier.blocks import Page
from weir.dossier.collect import Dossier, collect
from weir.dossier.html import html_of
from weir.dossier.pages import missing, page_of
from weir.services.wiring import command_keys, kafka_settings, open_registry


def dossier(
    version: Annotated[str, typer.Argument(help="A version or an alias.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default="dossier-vVERSION-TIME.html",
            help="Write there: FILE.html or FILE.pdf.",
        ),
    ] = None,
    config: ConfigOption = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            show_default="the name of your login",
            help="Who has it made.",
            callback=at_most(LONGEST_BY),
        ),
    ] = None,
    note: Annotated[
        str, typer.Option("--note", help="What for.", callback=at_most(LONGEST_NOTE))
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write down all that is known of a model: for who decides, and for who asks later.

    The model card, the gates, what was found in the shadow and as a canary, and the promotion, out
    of the registry and the topics of now. Where there is a store of explanations, its chain says
    who made the file, and its SHA-256. With --json the data are printed, and a file is written only
    where --output names one.
    """
    settings = load_settings(config)
    if output is not None:
        _check_format(output)
    author = login_or(by)
    registry, keys = open_registry(settings), command_keys(settings)
    with viewing_room(settings, gates=True) as room:
        kafka = kafka_settings(settings)
        found = collect(settings, kafka, room, registry, keys, version, author)
    told = found.as_dict() | {"missing": missing(found)}
    if output is not None or not as_json:
        told["file"] = _written(settings, found, output or _default(found), note)
    if as_json:
        print_json(told)
    else:
        _show(told)


def _check_format(path: Path) -> None:
    if path.suffix.lower() not in (".html", ".pdf"):
        raise SettingsError(f"--output: {path} ends in neither .html nor .pdf")


def _default(found: Dossier) -> Path:
    """A name of its own for each: one that was made stays."""
    made = datetime.fromtimestamp(found.made / 1e3, UTC)
    return Path(f"dossier-v{found.model.version}-{made:%Y%m%dT%H%M%S}.html")


def _written(settings: Settings, found: Dossier, path: Path, note: str) -> dict[str, Any]:
    """Log the file in the store, if there is one, and then write it; what it is, for programs.

    Raises:
        ExplainError: what writes PDF is not installed, or a font can't be used.
        StoreUnavailableError, StoreError: it can't be logged; nothing was written.
    """
    vouched = settings.store.may_hold(settings.data_dir)
    page = page_of(found, vouched=vouched)
    content = _pdf(page, settings) if path.suffix.lower() == ".pdf" else html_of(page).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    act = None
    if vouched:
        model = found.model
        what = {"version": model.version, "package": model.package_id, "sha256": sha256}
        with settings.store.open_database(settings.data_dir) as database:
            act = ActBook(database, found.by).do("dossier", what, 0, note)
    write_file(path, [content])
    return {"path": str(path), "sha256": sha256, "act": act}


def _pdf(page: Page, settings: Settings) -> bytes:
    try:
        from weir.dossier.pdf import pdf_of
    except ModuleNotFoundError as error:
        raise ExplainError(f"PDF needs {error.name}: pip install 'weir[pdf]'") from error
    return pdf_of(page, settings.letters)


def _show(told: dict[str, Any]) -> None:
    for line in told["missing"]:
        stdout.print(f"missing: {line}", soft_wrap=True)
    file = told["file"]
    stdout.print(f"SHA-256 {file['sha256']}", soft_wrap=True)
    if file["act"] is None:
        stdout.print("there is no store of explanations, so it is written down nowhere")
    else:
        stdout.print(f"it is act {file['act']} of the store: `weir audit log`")
