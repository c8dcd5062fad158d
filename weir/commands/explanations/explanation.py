"""`weir explanation`: why decisions were made, for those who have to answer for them."""

from contextlib import nullcontext
from typing import Annotated

import msgspec
import typer

from explain.reports.analyst_sheet import language_of, sheet_of
from explain.writing.event_parts import opened
from explain.writing.key_ring import KeyRing
from explain.writing.reproduce import ReproductionError
from explain.writing.reproduce import reproduce as reproduce_record
from weir.cli.console import FAILED, ConfigOption, JsonOption, print_json, stdout
from weir.cli.explanation_lookup import IdArgument, LanguageOption, look_up, open_reader
from weir.cli.explanation_view import say_reproduced, show_sheet
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.commands.explanations.explanation_export import export
from weir.commands.explanations.explanation_find import find
from weir.commands.explanations.tokens import ring_file
from weir.config.settings import load_settings
from weir.reasons import open_catalogue
from weir.services.scorer_model import package_trials
from weir.services.wiring import open_registry

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Why decisions were made: find, show, reproduce and export explanations.\n\n"
    "They come from the store that `weir sink` fills. Who reads what is logged there: "
    "`weir audit log`. See docs/analyst.md.",
)
app.command()(find)
app.command()(export)


@app.command()
def show(
    name: IdArgument,
    language: LanguageOption = None,
    place: Annotated[
        bool, typer.Option("--place", help="Open the sealed place of the event with the key ring.")
    ] = False,
    by: ByOption = None,
    note: NoteOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all of one explanation as a page: decision, reasons, bars, values, how far it is true.

    --json prints the record itself, and with --place the event's partition and offset in it.
    """
    settings = load_settings(config)
    with KeyRing(ring_file(settings)) if place else nullcontext() as ring:
        with open_reader(settings, by, note, "show" if ring is None else "show --place") as reader:
            _, record = look_up(reader, name)
        if ring is not None:
            record = opened(record, ring)
    if as_json:
        print_json(msgspec.to_builtins(record))
        return
    show_sheet(stdout, sheet_of(record, language_of(record, language)))


@app.command()
def reproduce(
    name: IdArgument,
    by: ByOption = None,
    note: NoteOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain an event again, and say whether the record comes out the same, byte for byte.

    Takes the model from the registry by its hash, and the values from the record: nothing else is
    needed. Exit code 1 if anything differs, and which keys do. What no model can say, such as when
    the event was, is for `weir audit verify`.
    """
    settings = load_settings(config)
    with open_reader(settings, by, note, "reproduce") as reader:
        data, record = look_up(reader, name)
    registry = open_registry(settings)
    found = registry.find(record.model.package)
    if found is None:
        raise ReproductionError(
            f"package {record.model.package} is not in the registry: was it deleted, or is "
            "registry.tracking_uri that of another?"
        )
    catalogue = open_catalogue(settings.reasons)
    package = registry.fetch(found)
    package_trials(settings)(package)
    reproduced = reproduce_record(data, package, found.version, catalogue)
    if as_json:
        print_json({"identical": reproduced.identical, **msgspec.to_builtins(reproduced)})
    else:
        say_reproduced(reproduced)
        if not reproduced.identical and catalogue.sha256 != record.catalogue.sha256:
            stdout.print(
                f"reasons.file is catalogue {catalogue.name} {catalogue.version}, and the record's "
                f"is {record.catalogue.name} {record.catalogue.version} of other "
                "content: name the file of that one",
                soft_wrap=True,
            )
    if not reproduced.identical:
        raise typer.Exit(FAILED)
