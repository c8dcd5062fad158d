"""`weir train`: a model from a file of labelled events."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from streams.features.offline import without_repeats
from streams.files.event_file import open_events
from weir.cli.console import ConfigOption, JsonOption, QuietOption, stdout, steps_bar
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.cli.rejected_rows import report_rejected
from weir.commands.models.candidate import (
    AliasOption,
    PromoteOption,
    check_promotable,
    finish,
    names_of,
)
from weir.commands.models.promote import ByOption, NoteOption, WaitOption
from weir.config.settings import load_settings
from weir.services.training import check_alias, train_and_register


def train(
    data: Annotated[Path, typer.Option(help="Parquet or CSV file of events with their labels.")],
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    alias: AliasOption = None,
    promote: PromoteOption = False,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Train a fraud and an anomaly model on a file, and register them.

    Features come from the scorer's own code; events before --from are history for the windows.
    The latest fifth of the rows is held out to calibrate, to set thresholds and to measure. The
    same file and settings give the same package id.

    The first model of a registry is its champion. Later ones are candidates, until `weir models
    promote` or --promote makes one of them champion for all scorers. Exit code 1 if a scorer
    refuses it.
    """
    check_alias(alias)
    settings = load_settings(config)
    if promote:
        check_promotable(settings, by)
    first, last = time_range_ms(start, stop)
    show = not (no_progress or as_json)
    file = without_repeats(open_events(data, settings.event, settings.labels.field))
    report_rejected(file)
    with steps_bar(show) as step:
        model = train_and_register(settings, file, first, last, alias or None, step)
    if not as_json:
        stdout.print(f"model {model.package_id[:12]}, version {model.version}{names_of(model)}")
        for name in ("roc_auc", "average_precision", "brier", "calibration_error"):
            if name in model.metrics:
                stdout.print(f"  {name.replace('_', ' '):<20} {model.metrics[name]:.4f} (hold-out)")
    finish(settings, model, asdict(model), promote, by, note, wait, as_json)
