"""`weir train --protocol prequential`: how good this way of training is, fold by fold."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table

from inference.training.prequential import FoldResult
from weir.cli.console import print_json, stdout
from weir.cli.dates import moment
from weir.config.settings import Settings

_FIGURES = ("auc", "average_precision", "card_precision")


def show_prequential(
    settings: Settings, found: list[FoldResult], as_json: bool, more: dict[str, Any]
) -> None:
    """Print a table of folds.

    Args:
        more: what programs are told besides.
    """
    means = {name: float(np.mean([getattr(each, name) for each in found])) for name in _FIGURES}
    spreads = {name: float(np.std([getattr(each, name) for each in found])) for name in _FIGURES}
    if as_json:
        folds = [asdict(each) | {"fold": each.fold._asdict()} for each in found]
        print_json({"folds": folds, "mean": means, "spread": spreads} | more)
        return
    k = settings.evaluation.cards_per_day
    table = Table("train from", "tested", "events", "frauds", "AUC", "AP", f"CP@{k}")
    for each in found:
        table.add_row(*_row(each))
    table.add_section()
    for name, figures in (("mean", means), ("spread", spreads)):
        table.add_row(name, "", "", "", *(f"{figures[each]:.3f}" for each in _FIGURES))
    stdout.print(table)
    stdout.print(f"AP is average precision, CP@{k} card precision at {k} cards a day; days in UTC")


def _row(each: FoldResult) -> list[str]:
    first, last = each.fold.test_start, each.fold.test_stop - 1
    figures = (getattr(each, name) for name in _FIGURES)
    return [
        moment(each.fold.train_start, "s")[:10],
        f"{moment(first, 's')[:10]}…{moment(last, 's')[5:10]}",
        f"{each.tested:,}",
        f"{each.frauds:,}",
        *("-" if math.isnan(figure) else f"{figure:.3f}" for figure in figures),
    ]
