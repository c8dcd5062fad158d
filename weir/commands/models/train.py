"""`weir train`: a model from the archive, or from a file of labelled events."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from streams.features.offline import without_repeats
from streams.files.event_file import EventFile, open_events
from weir.cli.console import (
    ComputeEngine,
    ConfigOption,
    EngineOption,
    JsonOption,
    QuietOption,
    print_json,
    stdout,
    steps_bar,
)
from weir.cli.dates import FromOption, ToOption, parse_duration_ms, time_range_ms
from weir.cli.rejected_rows import report_rejected
from weir.commands.models.candidate import (
    AliasOption,
    PromoteOption,
    check_promotable,
    finish,
    names_of,
)
from weir.commands.models.promote import ByOption, NoteOption, WaitOption
from weir.commands.models.train_protocol import show_prequential
from weir.commands.models.train_search import Searching
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry
from weir.training.archived import archived_rows
from weir.training.on_spark import training_set_by_spark
from weir.training.prequential import Protocol, prequential_of_archive, prequential_of_file
from weir.training.registering import check_alias, train_and_register, train_on
from weir.training.reproduction import reproduce


def train(
    data: Annotated[
        Path | None,
        typer.Option(help="Parquet or CSV file of events with their labels.", show_default=False),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", show_default=False, help="The archive; by default archive.url."
        ),
    ] = None,
    label_delay: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            show_default="comparison.maturity",
            help="Take labels at this age of their events, such as 7d; of an archive.",
        ),
    ] = None,
    weak_labels: Annotated[
        bool,
        typer.Option(
            "--weak-labels",
            help="Train on young events, too, by what labels.rules say of them; of an archive.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--reproduce",
            metavar="MODEL",
            show_default=False,
            help="Train this version or alias again, and say what differs.",
        ),
    ] = None,
    protocol: Annotated[
        Literal["prequential"] | None,
        typer.Option(
            show_default=False,
            help="Register nothing: train and test in the folds of [prequential] up to --to, and "
            "print how good the models were.",
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            show_default=False,
            help="Search better settings first, for so long, such as 30m; training.search.time.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, show_default=False, help="Search, with so many trials; training.search.trials."
        ),
    ] = None,
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    engine: EngineOption = ComputeEngine.LOCAL,
    alias: AliasOption = None,
    promote: PromoteOption = False,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Train a fraud and an anomaly model on the archive or a file, and register them.

    The archive has features as they were scored, and labels as they were known once an event was as
    old as --label-delay. Declined events are left out, but those that were let through on purpose
    stand for them. For a file (--data), features come from the scorer's own code, and events before
    --from are history for the windows.

    The latest fifth of the rows is held out to calibrate, to set thresholds and to measure. The
    same data and settings give the same package id. --reproduce goes by a model's card, registers
    nothing, and ends with exit code 1 if the package would be another one.

    --engine spark computes the features of --data on as many machines as spark.master names, and
    runs the trials of a search there; the model is fitted here, on the matrix of the labelled
    events.

    --search and --trials try settings on folds of [prequential] that lie before the hold-out, or
    before the folds of --protocol, and take the best; the card has them. After Ctrl-C
    nothing is trained, or with the best so far (training.search.on_stop).

    The first model of a registry is its champion. Later ones are candidates, until `weir models
    promote` or --promote makes one of them champion for all scorers. Exit code 1 if a scorer
    refuses it.
    """
    check_alias(alias)
    if data is not None and (archive is not None or label_delay is not None or weak_labels):
        raise typer.BadParameter(
            "--data names a file: --archive, --label-delay and --weak-labels are for an archive"
        )
    searches = search is not None or trials is not None
    of_rows = start or stop or promote or alias or label_delay
    if model is not None and (of_rows or weak_labels or searches):
        raise typer.BadParameter(
            "--reproduce goes by the model's card: it takes --data or --archive, and no more"
        )
    if protocol is not None and (start or model or promote or alias):
        raise typer.BadParameter(
            "--protocol prequential trains up to --to, in its own folds, and registers nothing"
        )
    by_spark = engine is ComputeEngine.SPARK
    features_by_spark = by_spark and data is not None and protocol is None
    if by_spark and (model is not None or not (features_by_spark or searches)):
        raise typer.BadParameter(
            "--engine spark computes features of --data, to train on them, and runs the trials of "
            "--search and --trials: the archive has its features already, and --reproduce and "
            "--protocol compute here"
        )
    delay = None if label_delay is None else parse_duration_ms(label_delay, "--label-delay")
    settings = _settings(config, search, trials)
    if promote:
        check_promotable(settings, by)
    first, last = time_range_ms(start, stop)
    show = not (no_progress or as_json)
    file = None
    if data is not None and not features_by_spark:
        file = without_repeats(open_events(data, settings.event, settings.labels.field))
        report_rejected(file)
    if model is not None:
        _reproduce(settings, model, file, archive, show, as_json)
        return
    with steps_bar(show) as step:
        searching = Searching(settings, step, as_json, by_spark) if searches else None
        if protocol is not None:
            asked = Protocol(last, searching)
            folds = (
                prequential_of_archive(settings, archive, delay, asked, step)
                if file is None
                else prequential_of_file(settings, file, asked, step)
            )
        elif data is not None and features_by_spark:
            trained = train_on(
                settings,
                lambda: training_set_by_spark(settings, data, first, last, step),
                str(data),
                alias or None,
                step,
                searching,
            )
        elif file is not None:
            trained = train_and_register(
                settings, file, first, last, alias or None, step, searching
            )
        else:
            trained = train_on(
                settings,
                lambda: archived_rows(settings, archive, (first, last), delay, step, weak_labels),
                "the archive",
                alias or None,
                step,
                searching,
            )
    more = {} if searching is None else searching.described()
    if protocol is not None:
        show_prequential(settings, folds, as_json, more)
        return
    if not as_json:
        stdout.print(
            f"model {trained.package_id[:12]}, version {trained.version}{names_of(trained)}"
        )
        for name in ("roc_auc", "average_precision", "brier", "calibration_error"):
            if name in trained.metrics:
                shown = f"{trained.metrics[name]:.4f} (hold-out)"
                stdout.print(f"  {name.replace('_', ' '):<20} {shown}")
    finish(settings, trained, asdict(trained) | more, promote, by, note, wait, as_json)


def _settings(config: Path | None, search: str | None, trials: int | None) -> Settings:
    asked: dict[str, str | int] = {}
    if search is not None:
        parse_duration_ms(search, "--search")
        asked["time"] = search
    if trials is not None:
        asked["trials"] = trials
    return load_settings(config, training={"search": asked}) if asked else load_settings(config)


def _reproduce(
    settings: Settings,
    model: str,
    file: EventFile | None,
    archive: str | None,
    show: bool,
    as_json: bool,
) -> None:
    registry = open_registry(settings)
    package = registry.resolve(model)
    with steps_bar(show) as step:
        differences = reproduce(settings, package, file, archive, step)
    if as_json:
        print_json({"package": package.id, "same": not differences, "differences": differences})
    elif not differences:
        stdout.print(f"package {package.short_id} again, bit for bit")
    else:
        stdout.print(f"another package than {package.short_id}:")
        for each in differences:
            stdout.print(f"  {each}")
    if differences:
        raise typer.Exit(1)
