"""``weir models import``: an exported model of another framework as a package in the registry."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from inference.importing.sandbox.options import ImportOptions
from inference.importing.static.limits import Limits
from inference.packages.package import ModelPackage
from inference.packages.registry import RegisteredModel
from inference.training.training_set import TrainingError, TrainingSet
from streams.features.offline import without_repeats
from streams.files.event_file import open_events
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, stdout, steps_bar
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
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry
from weir.training.registering import (
    Progress,
    check_alias,
    packages_folder,
    register_model,
    training_set,
)

# The importer is imported by the functions that need it: `weir models list` does not.
if TYPE_CHECKING:
    from inference.importing.sandbox.inspection import Inspection

_LARGEST = 3.4e38
"""Graphs compute in float32, in which a larger number is infinite."""

Span = tuple[int | None, int | None]
"""From and to, UTC milliseconds."""

_FIGURES = ("roc_auc", "average_precision", "brier", "calibration_error", "anomaly_roc_auc")


def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The exported model.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or CSV file of events with their labels, as `weir train` reads.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            show_default=False,
            help="The features that the model reads, in its order; else those in the "
            "file, else all declared ones.",
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="OUTPUT",
            help="The output that is the fraud score; else the only one that can be.",
            show_default=False,
        ),
    ] = None,
    score_kind: Annotated[
        Literal["probability", "logit"] | None,
        typer.Option(help="What the score is; logit for log-odds.", show_default=False),
    ] = None,
    fraud_class: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The class that is fraud, where that is not 1.", show_default=False
        ),
    ] = None,
    anomaly: Annotated[
        str | None,
        typer.Option(
            metavar="OUTPUT",
            help="An output that measures anomaly; else an anomaly model is fitted on the data.",
            show_default=False,
        ),
    ] = None,
    anomaly_low: Annotated[
        bool, typer.Option("--anomaly-low", help="Low values of it are the anomalous ones.")
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="data|FILE",
            show_default=False,
            help="The model wants (x - mean) / scale: those of the data, or of a JSON "
            'file {"feature": [mean, scale]}.',
        ),
    ] = None,
    impute: Annotated[
        str | None,
        typer.Option(
            metavar="median|NUMBER", help="What stands for a missing value.", show_default=False
        ),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit Platt scaling on the held-out events.")
    ] = False,
    alias: AliasOption = None,
    promote: PromoteOption = False,
    by: ByOption = None,
    note: NoteOption = "",
    wait: WaitOption = 30.0,
    max_mb: Annotated[int, typer.Option(min=1, max=2_000, help="Refuse larger files.")] = 256,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check; needs no data, and registers nothing.")
    ] = False,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Check an exported ONNX model, and register it with all its yardsticks.

    Of PyTorch, Keras, scikit-learn, LightGBM, XGBoost, JAX, whatever exports ONNX. It is tried in
    a process of its own; thresholds, drift reference and figures come from --data, whose latest
    fifth is held out.

    The first model of a registry is its champion. Later ones are candidates, until `weir models
    promote` or --promote makes one of them champion for all scorers. Exit code 1 if a scorer
    refuses it.
    """
    check_alias(alias)
    settings = load_settings(config)
    options = ImportOptions(
        features=tuple(name.strip() for name in features.split(",")) if features else None,
        score=score,
        kind=score_kind,
        fraud_class=fraud_class,
        anomaly=anomaly,
        anomaly_low=anomaly_low,
        impute=_impute(impute),
        scale=scale,
        calibrate=calibrate,
    )
    # A model takes several times its size while it is loaded and taken apart.
    limits = Limits(file_mb=max_mb, memory_mb=max(Limits.memory_mb, 16 * max_mb))
    show = not (no_progress or as_json)
    span = time_range_ms(start, stop)
    if dry_run:
        _show_checks(model, _check(settings, model, data, span, options, limits, show), as_json)
    elif data is None:
        raise typer.BadParameter(
            "thresholds, drift reference and figures come from labelled events: name them with "
            "--data FILE, or only check the model with --dry-run"
        )
    else:
        if promote:
            check_promotable(settings, by)
        registry = open_registry(settings, signing=True)  # before the work: we may have no key
        package = _import(settings, model, data, span, options, limits, show)
        registered = register_model(registry, package, alias or None)
        if not as_json:
            _show_model(package, registered)
        described = _described(model, package, registered)
        finish(settings, registered, described, promote, by, note, wait, as_json)


def _impute(text: str | None) -> str | None:
    if text is not None and text != "median":
        try:
            fits = abs(float(text)) <= _LARGEST  # which NaN is not, either
        except ValueError:
            fits = False
        if not fits:
            raise typer.BadParameter(f"--impute takes median or a number, not {text!r}")
    return text


def _rows(settings: Settings, data: Path, span: Span, step: Progress) -> TrainingSet:
    file = without_repeats(open_events(data, settings.event, settings.labels.field))
    report_rejected(file)
    return training_set(settings, file, *span, step)


def _check(
    settings: Settings,
    model: Path,
    data: Path | None,
    span: Span,
    options: ImportOptions,
    limits: Limits,
    show: bool,
) -> "Inspection":
    from inference.importing.build.importer import check_model

    with steps_bar(show) as step:
        rows = None if data is None else _rows(settings, data, span, step).matrix
        step("checking the file", 0.0)
        return check_model(model, settings.plan().names, options, limits, rows)


def _import(
    settings: Settings,
    model: Path,
    data: Path,
    span: Span,
    options: ImportOptions,
    limits: Limits,
    show: bool,
) -> ModelPackage:
    from inference.importing.build.importer import import_model

    with steps_bar(show) as step:
        rows = _rows(settings, data, span, step)
        folder = packages_folder(settings)
        try:
            return import_model(
                model,
                rows,
                settings=settings.training,
                options=options,
                limits=limits,
                folder=folder,
                progress=step,
            )
        except TrainingError as error:
            raise TrainingError(f"{data}: {error}") from error


def _show_checks(model: Path, found: "Inspection", as_json: bool) -> None:
    if as_json:
        print_json({"file": str(model), **found.as_dict(), "checks": dict(found.checks)})
        return
    _table(found.checks, found.producer)
    stdout.print("it can be imported: nothing was registered")


def _described(model: Path, package: ModelPackage, registered: RegisteredModel) -> dict[str, Any]:
    card, source = package.card, package.card.source
    assert source is not None
    return {
        "file": str(model),
        **asdict(registered),
        "source": source.model_dump(mode="json") | {"checks": dict(source.checks)},
        "features": package.features.names,
        "tensors_left_out": card.tensors_left_out,
    }


def _show_model(package: ModelPackage, registered: RegisteredModel) -> None:
    card, source = package.card, package.card.source
    assert source is not None
    _table(source.checks, source.producer)
    stdout.print(f"model {package.short_id}, version {registered.version}{names_of(registered)}")
    for name in _FIGURES:
        if name in card.metrics:
            label = name.replace("_", " ")
            stdout.print(f"  {label:<20} {card.metrics[name]:.4f} (hold-out)")
    if card.tensors_left_out:
        stdout.print(f"  no form for TensorRT: {card.tensors_left_out}", soft_wrap=True)


def _table(checks: Iterable[tuple[str, str]], producer: str) -> None:
    table = Table("checked", "found")
    table.add_row("exported by", producer)
    for name, found in checks:
        table.add_row(name, found)
    stdout.print(table)
