"""How right explanations are: a sample of them against what is too slow for a stream.

Exact Shapley values (sampled ones where the model is more than trees), other seeds, and what the
model itself says when the groups are taken away, or put back, in the order of their attributions
(Samek et al., "Evaluating the visualization of what a deep neural network has learned", 2017).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from explain.lime.lime import Lime
from explain.lime.settings import ExplainSettings
from explain.quality.shapley import TreeShapley, sampled_shapley
from inference.forest.graph_forms import margin_given
from inference.packages.package import ModelPackage

_PERMUTATIONS = 200
_BACKGROUND = 100

Progress = Callable[[float], None]
"""Called with the share that is done."""


@dataclass(frozen=True)
class Fidelity:
    """What a sample of explanations is worth; medians over events, but for the means of areas.

    Attributes:
        events: how many there were.
        exact: whether the Shapley values are exact.
        spearman: rank correlation of the attributions with the Shapley values.
        jaccard: agreement of the top groups over real seeds.
        vsi: what the explanations said of that.
        deletion: mean log-odds while groups are replaced, the largest attribution first; the lower,
            the better the order.
        deletion_shapley, deletion_random: the same in the order of Shapley values, and at random.
        insertion: mean log-odds while groups are put back, the largest first; the higher, the
            better.
        insertion_shapley, insertion_random: as above.
    """

    events: int
    exact: bool
    spearman: float
    jaccard: float
    vsi: float
    deletion: float
    deletion_shapley: float
    deletion_random: float
    insertion: float
    insertion_shapley: float
    insertion_random: float


def measure(
    package: ModelPackage,
    settings: ExplainSettings,
    rows: NDArray[np.float32],
    *,
    seeds: int,
    rng: np.random.Generator,
    progress: Progress = lambda share: None,
) -> Fidelity:
    """Explain events (n, k) by several seeds, and compare.

    Args:
        seeds: at least 2.
    """
    limes = [
        Lime(package, settings.model_copy(update={"seed": settings.seed + seed}))
        for seed in range(seeds)
    ]
    explained = [lime.explain(rows) for lime in limes]
    found = np.array([[each.attributions for each in one] for one in explained])
    lime, background = limes[0], package.background
    drawn = background[rng.permutation(len(background))[:_BACKGROUND]]
    shapley, exact = _shapley(package, lime, rows, rng)
    areas = []
    for event, row in enumerate(rows):
        orders = (
            np.argsort(-found[0, event], kind="stable"),
            np.argsort(-shapley[event], kind="stable"),
            rng.permutation(found.shape[2]),
        )
        areas.append([_areas(lime, row, order, drawn) for order in orders])
        progress((event + 1) / len(rows))
    deletion, insertion = np.array(areas).mean(axis=0).T
    top = min(settings.top, found.shape[2])
    return Fidelity(
        events=len(rows),
        exact=exact,
        spearman=_median(spearmanr(a, b)[0] for a, b in zip(found[0], shapley, strict=True)),
        jaccard=_median(_agreement(found[:, event], top) for event in range(len(rows))),
        vsi=_median(each.vsi for each in explained[0]),
        deletion=float(deletion[0]),
        deletion_shapley=float(deletion[1]),
        deletion_random=float(deletion[2]),
        insertion=float(insertion[0]),
        insertion_shapley=float(insertion[1]),
        insertion_random=float(insertion[2]),
    )


def _shapley(
    package: ModelPackage, lime: Lime, rows: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float64], bool]:
    groups, background = lime.design.groups, package.background
    if lime.asks_trees:
        forest = margin_given(package.model)[1].forest
        return TreeShapley(forest, groups, background)(rows), True
    values = [
        sampled_shapley(
            lime.answer,
            row,
            groups=groups,
            background=background,
            permutations=_PERMUTATIONS,
            rng=rng,
        )
        for row in rows
    ]
    return np.array(values), False


def _areas(
    lime: Lime, row: NDArray[np.float32], order: NDArray[np.int64], background: NDArray[np.float32]
) -> tuple[float, float]:
    """Mean log-odds over the steps of taking groups away in an order, and of putting them back."""
    columns, steps = lime.design.groups.of_column, len(order)
    rank = np.empty(steps, np.int64)
    rank[order] = np.arange(steps)
    areas = []
    for kept in (
        rank[columns] >= np.arange(1, steps)[:, None],
        rank[columns] < np.arange(1, steps)[:, None],
    ):
        mixed = np.where(kept[:, None], row, background).reshape(-1, len(row))
        areas.append(float(lime.answer(mixed.astype(np.float32)).mean()))
    return areas[0], areas[1]


def _agreement(found: NDArray[np.float64], top: int) -> float:
    tops = [set(np.argsort(-np.abs(each), kind="stable")[:top].tolist()) for each in found]
    return float(np.mean([len(a & b) / len(a | b) for a, b in combinations(tops, 2)]))


def _median(values: Iterable[float]) -> float:
    return float(np.nanmedian(np.array(list(values), np.float64)))
