"""`weir features`: the feature vectors of a file's events."""

from pathlib import Path
from typing import Annotated

import typer

from streams.features.offline import without_repeats, write_features
from streams.files.event_file import open_events
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, progress_bar, stdout
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.cli.rejected_rows import report_rejected
from weir.config.settings import load_settings


def features(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file of events.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="Write what a model gets, instead of float64.")
    ] = False,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Compute the declared features of a file's events, with the scorer's own code.

    Events before --from are taken in too: they are the history that windows look at. Labels
    become known labels.delay after their event, as they do on the stream.
    """
    settings = load_settings(config)
    plan = settings.plan()
    first, last = time_range_ms(start, stop)
    events = open_events(file, settings.event, settings.labels.field if plan.reads_labels else None)
    events = without_repeats(events)
    report_rejected(events)
    if len(range(*events.span(first, last))) == 0:
        raise ValueError(
            f"{file}: no event lies from --from {start or 'the first'} to --to {stop or 'the last'}"
        )
    with progress_bar("computing features", not (no_progress or as_json)) as step:
        rows = write_features(
            out,
            events,
            plan,
            settings.labels.delay,
            first,
            last,
            with_labels=False,
            as_served=float32,
            windows=settings.windows,
            progress=step,
        )
    if as_json:
        print_json(
            {
                "out": out,
                "rows": rows,
                "features": len(plan.names),
                "feature_schema": plan.schema_hash,
                "events_read": len(events),
                "events_rejected": events.rows_rejected,
                "events_repeated": events.repeats or 0,
            }
        )
        return
    stdout.print(
        f"{out}: {rows:,} rows of {len(plan.names)} features, schema {plan.schema_hash}",
        soft_wrap=True,
    )
