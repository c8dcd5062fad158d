"""`weir controller`: has models trained anew; and what people say to it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import typer
from confluent_kafka.admin import AdminClient
from rich.table import Table

from inference.control.commands import encode
from inference.control.retraining import RETRAINING, RetrainingCommand
from inference.shadow.shadow_book import SHADOW
from monitoring.retraining.state import Job
from streams.base.clock import now_ms
from streams.kafka.records.control_topic import ControlReader
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from streams.transactions.control_writer import ControlWriter
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import moment
from weir.commands.models.promote import ByOption, NoteOption
from weir.commands.models.rooms import author_who_may, said
from weir.config.settings import Settings, find_settings_file, load_settings
from weir.retraining.board import heard_word
from weir.retraining.book import read_status
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import admitted, command_keys, open_registry, rights_of, usage

controller = typer.Typer(invoke_without_command=True)


@controller.callback()
def run(
    context: typer.Context, config: ConfigOption = None, metrics_port: MetricsPortOption = None
) -> None:
    """Have models trained anew, until SIGTERM or Ctrl-C.

    Hears of drift: a model whose performance is lost is trained anew on the archive, once for each
    episode; broken data keep that from happening. The job's model becomes a candidate of the
    shadow, and nothing else: gates, the canary and people go on from there. What was decided, and
    why, stands on the topic of retraining. Several may run; one of them is at work.
    """
    if context.invoked_subcommand is not None:
        return
    service = Service(
        process=process_named("controller"),
        rights=rights_of(Process.CONTROLLER),
        make_topics=_make_topics,
        build=lambda begun: _build(begun, find_settings_file(config)),
    )
    run_service(service, config, metrics_port)


@controller.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what the controller is at, what it waits for, and the jobs that were decided."""
    settings = load_settings(config)
    rights = acls_of(Process.CONTROLLER_STATUS, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights):
        state, jobs = read_status(kafka, settings.topics.retraining)
    if as_json:
        print_json(msgspec.to_builtins({"state": state, "jobs": jobs}))
        return
    if state is None:
        stdout.print("no controller has written anything yet: `weir controller` runs one")
        return
    paused = ", paused" if state.paused else ""
    stdout.print(f"{state.phase} since {moment(state.since, 's')} UTC{paused}")
    if state.waits_for:
        stdout.print(f"waits: {state.waits_for}", markup=False, soft_wrap=True)
    table = Table("job", "decided", "because of", "model", "outcome")
    for job in jobs:
        version = "" if job.model is None else f"version {job.model.version}"
        table.add_row(job.key, moment(job.decided, "s"), job.cause.why, version, _how(job))
    if jobs:
        stdout.print(table)


@controller.command()
def trigger(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Ask for a model to be trained now, whatever the budget, the cooldown or the labels say.

    Broken data still keep that from happening, and so does a job that is under way.
    """
    _say(config, by, note, as_json, asked=True)


@controller.command()
def pause(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let the controller decide no job by itself; what is under way goes on."""
    _say(config, by, note, as_json, paused=True)


@controller.command()
def resume(
    config: ConfigOption = None,
    by: ByOption = None,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let the controller decide jobs again."""
    _say(config, by, note, as_json, paused=False)


def _how(job: Job) -> str:
    if job.outcome is not None:
        return job.outcome
    if job.model is not None:
        return f"in the shadow as {job.candidate}" + (f": {job.verdict}" if job.verdict else "")
    return f"attempt {job.attempt}"


def _say(
    config: Path | None,
    by: str | None,
    note: str,
    as_json: bool,
    *,
    paused: bool | None = None,
    asked: bool = False,
) -> None:
    settings = load_settings(config)
    keys = command_keys(settings, signing=True)
    author = author_who_may(keys, by, RETRAINING)
    rights = acls_of(Process.CONTROL, usage(settings))
    kafka, _ = admitted(settings, lambda _: rights)
    with named_denials(kafka, rights), ControlWriter(kafka, settings.topics.control) as writer:
        stands: RetrainingCommand | None = None
        with closing(ControlReader(kafka, settings.topics.control)) as reader:
            while not reader.at_end:
                for record in reader.read(0.5):
                    if record.key == RETRAINING:
                        stands = heard_word(record, keys, stands)
        at = max(now_ms(), 0 if stands is None else stands.at + 1)
        command: RetrainingCommand = said(
            RetrainingCommand,
            paused=stands is not None and stands.paused if paused is None else paused,
            asked=at if asked else 0 if stands is None else stands.asked,
            by=author,
            note=note,
            at=at,
        )
        value = encode(command)
        writer.write(RETRAINING, value, keys.headers(RETRAINING, value))
    if as_json:
        print_json(command.model_dump(mode="json"))
    elif asked:
        stdout.print("asked for: `weir controller status` shows what becomes of it")
    else:
        stdout.print("paused: no job is decided" if command.paused else "jobs are decided again")


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    from weir.retraining.build_controller import ensure_controller_topics

    ensure_controller_topics(admin, settings.topics)


def _build(begun: Start, config: Path | None) -> Work:
    # Here: the commands that only say something must not pay for Faust.
    from weir.retraining.build_controller import build_controller

    settings = begun.settings
    keys = command_keys(settings, signing=True)
    options: dict[str, Any] = {"by": author_who_may(keys, None, SHADOW), "config": config}
    app = build_controller(
        settings,
        begun.kafka,
        keys,
        open_registry(settings),
        begun.metrics,
        begun.resources,
        **options,
    )
    return Work(
        does=f"hearing of drift on {settings.topics.drift}",
        run=app.run,
        waits_for=lambda: [] if app.ready else ["its consumer group"],
    )
