"""`weir features`: the feature vectors of a file's events."""

from pathlib import Path
from typing import Annotated, Any

import typer

from streams.features.offline import without_repeats, write_features
from streams.features.plan import FeaturePlan
from streams.files.event_file import open_events
from streams.spark.features import Wanted
from streams.spark.features import write_features as write_by_spark
from streams.spark.writing import check_place
from weir.cli.console import (
    ComputeEngine,
    ConfigOption,
    EngineOption,
    JsonOption,
    QuietOption,
    print_json,
    progress_bar,
    stdout,
    steps_bar,
)
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.cli.rejected_rows import report_left_out, report_rejected
from weir.config.settings import Settings, load_settings
from weir.spark.session import spark_session

Span = tuple[int | None, int | None]


def features(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file of events.")],
    out: Annotated[
        Path, typer.Option(help="Parquet file to write; of Spark, a folder of such files.")
    ],
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="Write what a model gets, instead of float64.")
    ] = False,
    engine: EngineOption = ComputeEngine.LOCAL,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Compute the declared features of a file's events, with the scorer's own code.

    Events before --from are taken in too: they are the history that windows look at. Labels
    become known labels.delay after their event, as they do on the stream.

    --engine spark computes the same cells on as many machines as spark.master names, none of which
    holds all events in memory.
    """
    settings = load_settings(config)
    plan = settings.plan()
    span = time_range_ms(start, stop)
    show = not (no_progress or as_json)
    compute = _by_spark if engine is ComputeEngine.SPARK else _here
    said = compute(settings, plan, file, out, span, float32, show)
    if not said["rows"]:
        raise ValueError(
            f"{file}: no event lies from --from {start or 'the first'} to --to {stop or 'the last'}"
        )
    if as_json:
        described = {"features": len(plan.names), "feature_schema": plan.schema_hash}
        print_json({"out": out, **described, **said})
        return
    stdout.print(
        f"{out}: {said['rows']:,} rows of {len(plan.names)} features, schema {plan.schema_hash}",
        soft_wrap=True,
    )


def _here(
    settings: Settings,
    plan: FeaturePlan,
    file: Path,
    out: Path,
    span: Span,
    float32: bool,
    show: bool,
) -> dict[str, Any]:
    events = open_events(file, settings.event, settings.labels.field if plan.reads_labels else None)
    events = without_repeats(events)
    report_rejected(events)
    rows = 0
    if len(range(*events.span(*span))):
        with progress_bar("computing features", show) as step:
            rows = write_features(
                out,
                events,
                plan,
                settings.labels.delay,
                *span,
                with_labels=False,
                as_served=float32,
                windows=settings.windows,
                progress=step,
            )
    return {
        "rows": rows,
        "events_read": len(events),
        "events_rejected": events.rows_rejected,
        "events_repeated": events.repeats or 0,
    }


def _by_spark(
    settings: Settings,
    plan: FeaturePlan,
    file: Path,
    out: Path,
    span: Span,
    float32: bool,
    show: bool,
) -> dict[str, Any]:
    check_place(out)
    wanted = Wanted(
        plan=plan,
        label_field=settings.labels.field,
        label_delay_ms=settings.labels.delay,
        windows=settings.windows,
        compiled=settings.compiled_dir,
        start_ms=span[0],
        stop_ms=span[1],
        as_served=float32,
        buckets=settings.spark.buckets,
    )
    with (
        steps_bar(show) as progress,
        spark_session(settings.spark, settings.data_dir, progress) as run,
    ):
        written = write_by_spark(run.session, file, out, wanted, run.step)
    report_left_out(file, written.rejected, written.repeats)
    return {
        "rows": written.rows,
        "events_read": written.events,
        "events_rejected": written.rows_rejected,
        "events_repeated": written.repeats,
    }
