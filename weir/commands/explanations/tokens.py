"""``weir tokens``: personal identifiers, and what stands for them in explanation records."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from explain.store.act_book import ActBook
from explain.writing.key_ring import KeyRing
from weir.cli.console import FAILED, ConfigOption, JsonOption, print_json, stdout
from weir.cli.dead_letter_options import YesOption
from weir.cli.login import login_or
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings

app = typer.Typer(
    help="What stands for personal identifiers in explanations: make, look up, erase.",
    no_args_is_help=True,
)

ValueArgument = Annotated[
    str,
    typer.Argument(
        help="The identifier; - reads it from standard input, so that it stays out of the shell's "
        "history.",
        show_default=False,
    ),
]
FieldOption = Annotated[
    str | None,
    typer.Option(
        "--field",
        metavar="FIELD",
        show_default=False,
        help="Field of the event that the value is of; by default its key.",
    ),
]


@app.command()
def make(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make the key ring of explain.key_ring. One that is there is never replaced."""
    path = ring_file(load_settings(config))
    KeyRing.make(path).close()
    if as_json:
        print_json({"file": path})
        return
    stdout.print(f"{path}: made; keep a copy, and keep it secret", soft_wrap=True)


@app.command()
def show(
    value: ValueArgument,
    field: FieldOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the token of an identifier; exit code 1 if it has none."""
    settings = load_settings(config)
    field = field or settings.event.key
    identifier = identifier_of(settings, field, value)
    with KeyRing(ring_file(settings)) as ring:
        token = ring.known(field, identifier)
    if as_json:
        print_json({"field": field, "token": token})
    else:
        stdout.print(token or f"no {field} of this value has a token", soft_wrap=True)
    if token is None:
        raise typer.Exit(FAILED)


@app.command()
def erase(
    value: ValueArgument,
    yes: YesOption = False,
    field: FieldOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy the key of an identifier: nobody can link its token to it any more.

    Nor can anybody open the places of its events. The explanation records stay as they are, and
    nobody finds them by the identifier any more: `weir erase` empties them before. Erase it from
    copies of the key ring, too. That it was done, and by whom, is written down in the store, if
    there is one; not of whom it was the key.
    """
    settings = load_settings(config)
    field = field or settings.event.key
    identifier = identifier_of(settings, field, value)
    known, erased = erase_token(settings, field, identifier, yes=yes, by=by, note=note)
    if as_json:
        print_json({"field": field, "known": known, "erased": erased})
    elif erased:
        stdout.print(f"erased: the token of this {field} can't be linked any more")
    elif known:
        stdout.print(f"this {field} has a token: --yes destroys its key")
    else:
        stdout.print(f"no {field} of this value has a token: there is nothing to erase")


def erase_token(
    settings: Settings, field: str, identifier: int | str, *, yes: bool, by: str | None, note: str
) -> tuple[bool, bool]:
    """Whether an identifier has a token, and whether its key was destroyed, which `yes` allows.

    Raises:
        KeyRingError: the ring can't be used.
        StoreUnavailableError, StoreError: it can't be written down; nothing was destroyed.
    """
    with KeyRing(ring_file(settings)) as ring:
        known = ring.known(field, identifier) is not None
        if yes and known:
            _log_erasure(settings, field, by, note)
        return known, yes and ring.erase(field, identifier)


def _log_erasure(settings: Settings, field: str, by: str | None, note: str) -> None:
    """Write down that a key is destroyed, before it is; its token would lead back to whom it was.

    Raises:
        StoreUnavailableError, StoreError: it can't be written down; nothing was destroyed.
    """
    if not settings.store.may_hold(settings.data_dir):
        return
    with settings.store.open_database(settings.data_dir) as database:
        ActBook(database, login_or(by)).do("erase", {"field": field}, 1, note)


def ring_file(settings: Settings) -> Path:
    """The key ring of the settings; `SettingsError` where they name none."""
    path = settings.explain.key_ring
    if path is None:
        raise SettingsError("explain.key_ring: name the file of the key ring, such as 'keys/ring'")
    return path


def identifier_of(settings: Settings, field: str, text: str) -> int | str:
    """An identifier as events hold it; ``-`` reads it from standard input.

    Raises:
        SettingsError: events have no such field, or it holds no such values.
    """
    declared = settings.event.fields.get(field)
    if declared is None:
        raise SettingsError(
            f"--field: {field!r} is not among event.fields ({', '.join(settings.event.fields)})"
        )
    if text == "-":
        text = sys.stdin.readline().removesuffix("\n")
    if declared.type != "int":
        return text
    try:
        number = int(text)
    except ValueError as error:
        raise SettingsError(f"{field} is an int field, and this is no whole number") from error
    if not -(2**63) <= number < 2**63:
        raise SettingsError(f"{field} is an int field: no event has a number beyond 64 bits there")
    return number
