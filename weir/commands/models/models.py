"""``weir models``: what is in the registry."""

import dataclasses
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from inference.packages.package import ModelPackage
from inference.packages.registry import CHAMPION_ALIAS, RegisteredModel
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import moment
from weir.cli.lazy_commands import LazyGroup
from weir.commands.models.promote import promote, rollback, serving
from weir.config.errors import SettingsError
from weir.config.settings import load_settings
from weir.services.wiring import open_registry


class Commands(LazyGroup):
    """Importing brings numba and what trains; to list models takes neither."""

    lazy = (
        (
            "import",
            "weir.commands.models.models_import:import_",
            "Check an exported ONNX model, and register it with all its yardsticks.",
        ),
        (
            "gates",
            "weir.commands.models.gates:gates",
            "Show which gates a model has passed, and what the others wait for; changes nothing.",
        ),
        (
            "waive",
            "weir.commands.models.gates:waive",
            "Say that a model may become champion, though a gate is not passed.",
        ),
        (
            "dossier",
            "weir.commands.models.dossier:dossier",
            "Write down all that is known of a model: for who decides, and for who asks later.",
        ),
    )


app = typer.Typer(
    help="Models in the registry, and which of them answers.", no_args_is_help=True, cls=Commands
)
app.command()(promote)
app.command()(rollback)
app.command()(serving)


@app.command("list")
def list_models(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List all versions, the latest first."""
    models = open_registry(load_settings(config)).versions()
    if as_json:
        print_json({"models": [dataclasses.asdict(model) for model in models]})
        return
    if not models:
        stdout.print("no models yet: train one with `weir train`")
        return
    table = Table(
        "version",
        "package",
        "aliases",
        Column("registered", no_wrap=True),
        "AUC",
        "average precision",
    )
    for model in models:
        table.add_row(
            str(model.version),
            model.package_id[:12],
            ", ".join(model.aliases),
            moment(model.created, "s"),
            f"{model.metrics['roc_auc']:.4f}",
            f"{model.metrics['average_precision']:.4f}",
        )
    stdout.print(table)


@app.command()
def sign(
    name: Annotated[str, typer.Argument(help="A version or an alias.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a model that is registered already, with the key of signing.key_file.

    New ones are signed as they are registered. You vouch for what the package holds: look at
    `weir models show` first.
    """
    settings = load_settings(config)
    if settings.signing.key_file is None:
        raise SettingsError(
            "signing.key_file is empty: name your private key there; `weir keys make` makes one"
        )
    registry = open_registry(settings, signing=True)
    model = registry.get(name)
    registry.sign(model)
    if as_json:
        print_json({"version": model.version, "package": model.package_id})
        return
    stdout.print(f"signed {model.package_id[:12]} (version {model.version})")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A version or an alias.")] = CHAMPION_ALIAS,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one model: its data, its figures on the hold-out rows, and its thresholds."""
    registry = open_registry(load_settings(config))
    model = registry.get(name)
    package = registry.fetch(model)
    if as_json:
        print_json(_as_dict(model, package))
        return
    card = package.card
    facts = Table.grid(padding=(0, 2))
    for label, value in (
        ("version", f"{model.version}  {', '.join(model.aliases)}"),
        ("package", package.id),
        ("registered", moment(model.created, "s")),
        ("data", f"{card.data.rows:,} events, {card.data.frauds:,} frauds"),
        ("", f"{moment(card.data.first_time, 's')} to {moment(card.data.last_time, 's')}"),
        ("data SHA-256", card.data.sha256),
        *(card.data.version.facts() if card.data.version else ()),
        ("features", f"{len(package.features.names)}, schema {card.feature_schema_hash}"),
        ("seed", str(card.seed)),
        ("versions", f"weir {card.code_version}, " + _pairs(card.libraries)),
        ("folder", str(package.folder)),
    ):
        facts.add_row(label, value)
    if card.source is not None:
        facts.add_row("imported from", f"{card.source.file}, exported by {card.source.producer}")
        facts.add_row("its SHA-256", card.source.sha256)
    stdout.print(facts)
    figures = Table("figure on the hold-out rows", "value")
    for label, figure in sorted(card.metrics.items()):
        figures.add_row(label, f"{figure:,.0f}" if figure > 1 else f"{figure:.5f}")
    stdout.print(figures)
    bounds = Table("alert rate", "from probability", "precision", "recall")
    for row in package.thresholds.table:
        cells = (row.probability, row.precision, row.recall)
        bounds.add_row(f"{row.alert_rate:.3%}", *(f"{cell:.4f}" for cell in cells))
    stdout.print(bounds)
    stdout.print(
        f"review from {package.thresholds.review:.4f}, decline from "
        f"{package.thresholds.decline:.4f}, unless the policy says otherwise"
    )


def _as_dict(model: RegisteredModel, package: ModelPackage) -> dict[str, Any]:
    return {
        **dataclasses.asdict(model),
        "folder": str(package.folder),
        "card": package.card.model_dump(mode="json"),
        "features": package.features.model_dump(mode="json"),
        "thresholds": package.thresholds.model_dump(mode="json"),
    }


def _pairs(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
