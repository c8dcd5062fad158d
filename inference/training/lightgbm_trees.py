"""Fits the fraud model: gradient-boosted trees, the mean of several bags."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from streams.base.section import Section

if TYPE_CHECKING:
    import lightgbm


class TreeSettings(Section):
    """The ``[training.trees]`` section; LightGBM's name of a parameter where it is another.

    The defaults were chosen on eight folds of card transactions, all before the weeks that they
    were then tested on (docs/models.md). Many bins matter most: fraud sits in the thin upper tail
    of amounts, where 255 bins of equal counts can't cut.
    """

    rounds: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=0.03, gt=0)
    num_leaves: int = Field(default=16, ge=2)
    max_depth: int = Field(default=5, description="-1 is no limit")
    max_bin: int = Field(default=8191, ge=2)
    min_rows_per_bin: int = Field(default=1, ge=1, description="min_data_in_bin")
    min_rows_per_leaf: int = Field(default=50, ge=1, description="min_data_in_leaf")
    min_weight_per_leaf: float = Field(default=1.0, ge=0, description="min_sum_hessian_in_leaf")
    lambda_l1: float = Field(default=0.0, ge=0)
    lambda_l2: float = Field(default=1.0, ge=0)
    feature_fraction: float = Field(default=0.7, gt=0, le=1)
    bagging_fraction: float = Field(default=0.7, gt=0, le=1)
    extra_trees: bool = False
    scale_pos_weight: float = Field(default=1.0, gt=0)
    bags: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _bags_differ(self) -> "TreeSettings":
        random = self.extra_trees or self.feature_fraction < 1 or self.bagging_fraction < 1
        if self.bags > 1 and not random:
            raise ValueError(
                "bags > 1 would fit the same trees again: set feature_fraction or "
                "bagging_fraction below 1, or extra_trees"
            )
        return self


def fit_trees(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    settings: TreeSettings,
    *,
    seed: int,
    threads: int,
    progress: Callable[[float], None],
) -> list["lightgbm.Booster"]:
    """Fit one booster per bag on rows (n, k) with ``NaN`` for missing values.

    The same rows, settings and seed give the same trees, on any number of threads.
    """
    # Imported when needed: LightGBM takes a second, and every command would pay it.
    import lightgbm

    shared = {
        "objective": "binary",
        "max_bin": settings.max_bin,
        "min_data_in_bin": settings.min_rows_per_bin,
        "min_data_in_leaf": settings.min_rows_per_leaf,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "data_random_seed": seed,
        "verbosity": -1,
    }
    rows = lightgbm.Dataset(matrix, labels, params=shared)
    boosters = []
    for bag in range(settings.bags):
        parameters = shared | {
            "learning_rate": settings.learning_rate,
            "num_leaves": settings.num_leaves,
            "max_depth": settings.max_depth,
            "min_sum_hessian_in_leaf": settings.min_weight_per_leaf,
            "lambda_l1": settings.lambda_l1,
            "lambda_l2": settings.lambda_l2,
            "feature_fraction": settings.feature_fraction,
            "bagging_fraction": settings.bagging_fraction,
            "bagging_freq": int(settings.bagging_fraction < 1),
            "extra_trees": settings.extra_trees,
            "scale_pos_weight": settings.scale_pos_weight,
            "feature_fraction_seed": seed + bag,
            "bagging_seed": seed + bag,
            "extra_seed": seed + bag,
        }

        def report(env: Any, bag: int = bag) -> None:
            progress((bag + (env.iteration + 1) / settings.rounds) / settings.bags)

        boosters.append(lightgbm.train(parameters, rows, settings.rounds, callbacks=[report]))
    return boosters


def margin(boosters: list["lightgbm.Booster"], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the bags' mean log-odds of fraud of rows (n, k), shape (n,)."""
    total = np.zeros(len(matrix))
    for booster in boosters:
        total += booster.predict(matrix, raw_score=True)
    return total / len(boosters)
