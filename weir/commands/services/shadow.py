"""`weir shadow`: tries candidates on live traffic; and the commands that say which."""

from typing import Annotated

import typer
from confluent_kafka.admin import AdminClient
from rich.table import Table

from inference.control.commands import ControlEntry, Withdrawal, encode
from inference.control.signatures import CommandKeys
from inference.shadow.shadow_book import SHADOW, ShadowBook, ShadowCommand, shadow_key
from streams.base.clock import now_ms
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from streams.transactions.control_writer import ControlWriter
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import moment
from weir.commands.models.promote import ByOption, NoteOption
from weir.commands.models.rooms import author_who_may, said, usable_model
from weir.commands.services.shadow_compare import candidate_of, compare, replay
from weir.config.settings import Settings, load_settings
from weir.services.candidates.build_shadow import build_shadow, ensure_shadow_topics
from weir.services.candidates.compared import read_book
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import admitted, command_keys, open_registry, rights_of, usage

shadow = typer.Typer(invoke_without_command=True)

shadow.command()(compare)
shadow.command()(replay)

NameArgument = Annotated[str, typer.Argument(help="The candidate's name.", show_default=False)]


@shadow.callback()
def run(
    context: typer.Context, config: ConfigOption = None, metrics_port: MetricsPortOption = None
) -> None:
    """Try candidates on live traffic, until SIGTERM or Ctrl-C.

    Reads the feature log in a consumer group of its own, and writes what each candidate would have
    said of the very vectors that the champion saw to the topic of shadow scores, exactly once. The
    champion does not wait for it, and no candidate decides anything. Each has a process of its own:
    one that crashes, hangs or takes all memory takes nobody along. Start as many workers as you
    like: they share the work. `weir shadow add` says which candidates are tried.
    """
    if context.invoked_subcommand is not None:
        return
    service = Service(
        process=process_named("shadow"),
        rights=rights_of(Process.SHADOW),
        make_topics=_make_topics,
        build=_build,
        niceness=lambda settings: settings.shadow.niceness,
    )
    run_service(service, config, metrics_port)


@shadow.command()
def add(
    version: Annotated[
        str,
        typer.Argument(
            help="Version or alias of a model in the registry, or the first digits of its id.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="The candidate's name.", show_default="v and the version, such as v7"),
    ] = None,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a model be tried, from the next batch on, or another one under the same name.

    It has to read the features that are declared. Shadows that run take it up within a second, and
    fetch it and try it apart before it answers; `weir shadow status` shows who is tried.
    """
    settings = load_settings(config)
    registry = open_registry(settings)
    named = usable_model(settings, registry, version)
    chosen = name or f"v{named.version}"
    keys = command_keys(settings, signing=True)
    author = author_who_may(keys, by, SHADOW)
    # Later than what stands, whatever the clocks say: an earlier one would not count.
    book = _book_of(settings)
    at, place = max(now_ms(), book.stands_since(chosen) + 1), book.next_place(chosen, named)
    command = said(ShadowCommand, model=named, place=place, by=author, note=note, at=at)
    _give(settings, keys, chosen, command)
    if as_json:
        print_json({"name": chosen, "model": named.model_dump(mode="json"), "by": author})
    else:
        stdout.print(f"candidate {chosen}: {named}")


@shadow.command()
def remove(
    name: NameArgument,
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a candidate be tried no more. What it has said stays on the topic."""
    settings = load_settings(config)
    book = _book_of(settings)
    candidate_of(book, name)
    keys = command_keys(settings, signing=True)
    author = author_who_may(keys, by, SHADOW)
    at = max(now_ms(), book.stands_since(name) + 1)
    leaves = said(Withdrawal, place=book.place(name), by=author, note=note, at=at)
    _give(settings, keys, name, leaves)
    if as_json:
        print_json({"name": name, "removed": True, "by": author})
    else:
        stdout.print(f"candidate {name} leaves")


@shadow.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show which candidates are tried, since when, and who said so."""
    commands = _book_of(load_settings(config)).commands
    if as_json:
        print_json({name: each.model_dump(mode="json") for name, each in sorted(commands.items())})
        return
    table = Table("candidate", "model", "since", "by", "note")
    for name, each in sorted(commands.items()):
        table.add_row(name, str(each.model), moment(each.at, "s"), each.by, each.note)
    stdout.print(table if commands else "no candidate is tried: `weir shadow add` names one")


def _book_of(settings: Settings) -> ShadowBook:
    rights = acls_of(Process.VIEWER, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights):
        return read_book(settings, kafka)


def _give(settings: Settings, keys: CommandKeys, name: str, command: ControlEntry) -> None:
    rights = acls_of(Process.CONTROL, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    key, value = shadow_key(name), encode(command)
    with named_denials(kafka, rights), ControlWriter(kafka, settings.topics.control) as writer:
        writer.write(key, value, keys.headers(key, value))


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_shadow_topics(admin, settings.topics)


def _build(start: Start) -> Work:
    settings = start.settings
    worker = build_shadow(settings, start.kafka, open_registry(settings), start.metrics, start.stop)
    return Work(
        does=f"trying candidates on {settings.topics.feature_log}",
        run=worker.run,
        waits_for=worker.waits_for,
    )
