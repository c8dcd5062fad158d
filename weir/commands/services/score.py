"""`weir score`: the scorer."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from confluent_kafka.admin import AdminClient

from inference.backends.tensorrt.errors import BuildCancelledError
from streams.base.bounded_calls import StoppedError
from streams.kafka.rights.process import Process
from weir.cli.console import ComputeEngine, ConfigOption, EngineOption, JsonOption, Topology
from weir.config.settings import Settings, load_settings
from weir.services.build_scorer import build_scorer
from weir.services.process_tuning import share_the_lock, spare_the_collector
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.tracing import opened_tracer
from weir.services.wiring import ensure_all_topics, open_registry, rights_of, scorer_roles


class MissingHistory(StrEnum):
    """See `streams.snapshots.settings.SnapshotSettings`."""

    FAIL = "fail"
    WARN = "warn"


def score(
    config: ConfigOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Version or alias in the registry, to answer with it whatever is promoted.",
            show_default="the champion",
        ),
    ] = None,
    metrics_port: MetricsPortOption = None,
    topology: Annotated[
        Topology | None,
        typer.Option(help="One scorer for everything, or any number that share the work."),
    ] = None,
    on_missing_history: Annotated[
        MissingHistory | None,
        typer.Option(help="What to do where input that the windows look back on has expired."),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            show_default=False,
            help="Score the events of this archive instead, once, and write the answers to --out.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help="With --archive: a folder for Parquet files of answers."
        ),
    ] = None,
    engine: EngineOption = ComputeEngine.LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Score events exactly once, until SIGTERM or Ctrl-C.

    Reads the events topic (and the labels topic, where a feature needs it), writes scores, the
    feature log and dead letters, all in one Kafka transaction per batch. On SIGTERM it finishes
    the transaction at hand and leaves the group. A start restores the state from the last snapshot
    and the input after it. `weir models promote` and `weir policy set` change model and policy
    while it runs.

    With --topology staged, start as many as you like: they share the partitions of all stages, and
    a stage's state is restored from its topic. `weir topology` shows what runs where.

    --archive needs no Kafka: it says what --model and the [policy] of the settings make of archived
    feature vectors, and leaves approve-through aside. --engine spark does so on a cluster.
    """
    if archive is not None or out is not None:
        if archive is None or out is None:
            raise typer.BadParameter("--archive and --out go together: where from, and where to")
        if topology is not None or on_missing_history is not None or metrics_port is not None:
            raise typer.BadParameter(
                "--archive scores files, once: --topology, --on-missing-history and "
                "--metrics-port are for a stream"
            )
        # Imported here: a scorer of streams has no use for the archive's libraries.
        from weir.commands.services.score_archive import score_archive

        score_archive(load_settings(config), archive, model, out, engine, as_json)
        return
    if engine is ComputeEngine.SPARK or as_json:
        raise typer.BadParameter("--engine and --json are for --archive")
    share_the_lock()
    overrides: dict[str, Any] = {}
    if on_missing_history is not None:
        overrides["snapshots"] = {"on_missing_history": on_missing_history.value}
    if topology is not None:
        overrides["loop"] = {"topology": topology.value}
    service = Service(
        process=process_named("score"),
        rights=rights_of(Process.SCORER),
        make_topics=_make_topics,
        build=partial(_build, model=model),
    )
    run_service(service, config, metrics_port, **overrides)


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_all_topics(admin, settings, scorer_roles(settings))


def _build(start: Start, model: str | None) -> Work:
    settings = start.settings
    tracer = start.resources.enter_context(opened_tracer(settings.tracing, start.metrics))
    try:
        scorer = build_scorer(
            settings,
            start.kafka,
            open_registry(settings),
            start.stop,
            model,
            prometheus=start.metrics,
            note=start.note,
            tracer=tracer,
        )
    except BuildCancelledError as error:
        raise StoppedError("stopped while an engine was built") from error

    def run(stop: Event) -> str:
        spare_the_collector()
        return scorer.run(stop)

    serving = scorer.answerer.serving
    return Work(
        does=f"scoring {settings.topics.events} with model {serving.model}, "
        f"policy {serving.policy.version}",
        run=run,
        waits_for=scorer.waits_for,
    )
