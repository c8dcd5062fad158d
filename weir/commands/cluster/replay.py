"""`weir replay`: a file of events, played into Kafka."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from streams.files.event_file import open_events
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import Role, ensure_topics
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from weir.cli.console import (
    STOPPED,
    ConfigOption,
    JsonOption,
    QuietOption,
    print_json,
    progress_bar,
    stdout,
)
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.cli.rejected_rows import report_rejected
from weir.config.settings import load_settings
from weir.services.stopping import stop_on_signals
from weir.services.tracing import opened_tracer
from weir.services.wiring import admitted


def replay(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file of events.")],
    config: ConfigOption = None,
    speed: Annotated[
        str, typer.Option(help="A multiple of event time such as 1000x, or max.")
    ] = "max",
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events per second, instead of --speed.")
    ] = None,
    start: FromOption = None,
    stop: ToOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    labels: Annotated[
        bool, typer.Option(help="Publish labels too, labels.delay after their event.")
    ] = True,
    flush_labels: Annotated[
        bool, typer.Option("--flush-labels", help="At the end, also labels that are not due yet.")
    ] = False,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Publish a file as events and, at their due time, their labels.

    The order is that of event time; the label column never goes into an event. Ctrl-C or SIGTERM
    waits for what was sent, and says from where to go on.
    """
    settings = load_settings(config)
    try:
        pace = Pace(rate=rate) if rate is not None else Pace.parse(speed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if rate is not None and speed != "max":
        raise typer.BadParameter("give --speed or --rate, not both")
    first, last = time_range_ms(start, stop)
    roles: list[Role] = ["events", "labels"] if labels else ["events"]
    names = [settings.topics.name(role) for role in roles]
    kafka, admin = admitted(
        settings,
        lambda usage: [acl for acl in acls_of(Process.PRODUCER, usage) if acl.name in names],
    )
    ensure_topics(admin, settings.topics, roles)
    events = open_events(file, settings.event, settings.labels.field if labels else None)
    report_rejected(events)
    with opened_tracer(settings.tracing, CollectorRegistry()) as tracer:
        replayer = Replayer(
            events,
            kafka,
            settings.topics,
            settings.labels,
            pace,
            send_labels="all" if labels else "none",
            flush_labels=flush_labels,
            start_ms=first,
            stop_ms=last,
            limit=limit,
            tracer=tracer,
        )
        stopping = stop_on_signals()
        with progress_bar("replaying", not (no_progress or as_json)) as step:
            report = replayer.run(stopping, step)
    if as_json:
        print_json({**asdict(report), "events_per_second": report.events_per_second})
    else:
        stdout.print(
            f"{report.events:,} events and {report.labels:,} labels in {report.seconds:.1f} s "
            f"({report.events_per_second:,.0f} events/s)"
        )
        if report.labels_not_due:
            stdout.print(f"{report.labels_not_due:,} labels are not due yet: see --flush-labels")
        if report.stopped and report.resume_from_ms is not None:
            stdout.print(f"stopped; go on with --from {_moment(report.resume_from_ms)}")
    if report.stopped:
        raise typer.Exit(STOPPED)


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")
