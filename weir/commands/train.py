"""`weir train`: a model from a file of labelled events."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from inference.packages.registry import CHAMPION_ALIAS
from streams.files.event_file import open_events
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, stdout, steps_bar
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.commands.features import report_rejected
from weir.config.settings import load_settings
from weir.services.training import train_and_register


def train(
    data: Annotated[Path, typer.Option(help="Parquet or CSV file of events with their labels.")],
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    alias: Annotated[
        str, typer.Option(help="What the registry calls the new model; '' for nothing.")
    ] = CHAMPION_ALIAS,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Train a fraud and an anomaly model on a file, and register them as the champion.

    Features come from the scorer's own code; events before --from are history for the windows.
    The latest fifth of the rows is held out to calibrate, to set thresholds and to measure. The
    same file and settings give the same package id.
    """
    settings = load_settings(config)
    first, last = time_range_ms(start, stop)
    show = not (no_progress or as_json)
    file = open_events(data, settings.event, settings.labels.field)
    report_rejected(file)
    with steps_bar(show) as step:
        model = train_and_register(settings, file, first, last, alias or None, step)
    if as_json:
        print_json(asdict(model))
        return
    names = f" as {', '.join(model.aliases)}" if model.aliases else ""
    stdout.print(f"model {model.package_id[:12]}, version {model.version}{names}")
    for name in ("roc_auc", "average_precision", "brier", "calibration_error"):
        if name in model.metrics:
            stdout.print(f"  {name.replace('_', ' '):<20} {model.metrics[name]:.4f} (hold-out)")
