"""``weir models``: what is in the registry."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inference.errors import InferenceError
from inference.package import ModelPackage
from inference.registry import CHAMPION, RegisteredModel, Registry, RegistrySettings

app = typer.Typer(help="Models in the registry.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def open_registry() -> Registry:
    """Return the registry that the commands read."""
    return Registry(RegistrySettings(), Path(".weir"))


@app.command("list")
def list_models(as_json: _AsJson = False) -> None:
    """List all versions, the latest first."""
    with _user_errors():
        models = open_registry().versions()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(model) for model in models], indent=1))
        return
    if not models:
        typer.echo("No models yet: train one with `weir train`.")
        return
    table = Table("version", "package", "aliases", "registered", "AUC", "average precision")
    for model in models:
        table.add_row(
            str(model.version),
            model.package_id[:12],
            ", ".join(model.aliases),
            _moment(model.created),
            f"{model.metrics['roc_auc']:.4f}",
            f"{model.metrics['average_precision']:.4f}",
        )
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A version or an alias.")] = CHAMPION,
    as_json: _AsJson = False,
) -> None:
    """Show one model: its data, its figures on the hold-out rows, and its thresholds."""
    with _user_errors():
        registry = open_registry()
        model, package = registry.get(name), registry.resolve(name)
    if as_json:
        typer.echo(json.dumps(_as_dict(model, package), indent=1))
        return
    console = Console()
    card = package.card
    facts = Table.grid(padding=(0, 2))
    for label, value in (
        ("version", f"{model.version}  {', '.join(model.aliases)}"),
        ("package", package.id),
        ("registered", _moment(model.created)),
        ("data", f"{card.data.rows:,} events, {card.data.frauds:,} frauds"),
        ("", f"{_moment(card.data.first_time)} to {_moment(card.data.last_time)}"),
        ("data SHA-256", card.data.sha256),
        ("features", f"{len(package.features.names)}, schema {card.feature_schema_hash}"),
        ("seed", str(card.seed)),
        ("versions", f"weir {card.code_version}, " + _pairs(card.libraries)),
        ("folder", str(package.folder)),
    ):
        facts.add_row(label, value)
    console.print(facts)
    figures = Table("figure on the hold-out rows", "value")
    for label, figure in sorted(card.metrics.items()):
        figures.add_row(label, f"{figure:,.0f}" if figure > 1 else f"{figure:.5f}")
    console.print(figures)
    bounds = Table("alert rate", "from probability", "precision", "recall")
    for row in package.thresholds.table:
        cells = (row.probability, row.precision, row.recall)
        bounds.add_row(f"{row.alert_rate:.3%}", *(f"{cell:.4f}" for cell in cells))
    console.print(bounds)
    console.print(
        f"review from {package.thresholds.review:.4f}, decline from "
        f"{package.thresholds.decline:.4f}, unless the policy says otherwise"
    )


@contextmanager
def _user_errors() -> Iterator[None]:
    try:
        yield
    except InferenceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


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


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
