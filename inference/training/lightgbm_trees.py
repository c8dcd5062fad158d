"""Fits the fraud model: gradient-boosted trees, the mean of several bags."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.training.importance import sample_to_explain, shares_of
from inference.training.rounds import spans_of
from inference.training.settings import TreeSettings

if TYPE_CHECKING:
    import lightgbm


def fit_trees(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    settings: TreeSettings,
    *,
    weights: NDArray[np.float64] | None = None,
    seed: int,
    threads: int,
    progress: Callable[[float], None],
) -> list["lightgbm.Booster"]:
    """Fit one booster per bag on rows (n, k) with ``NaN`` for missing values.

    The same rows, settings and seed give the same trees, on any number of threads.

    Args:
        weights: how many events each row stands for, (n,); 1 each where None.
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
    rows = lightgbm.Dataset(matrix, labels, weight=weights, params=shared)
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


def stages(
    boosters: list["lightgbm.Booster"], matrix: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield rounds, and the bags' mean log-odds of rows (n, k) after so many, (n,)."""
    total = np.zeros(len(matrix))
    for begin, end in spans_of(max(each.current_iteration() for each in boosters)):
        for booster in boosters:
            total += booster.predict(
                matrix, raw_score=True, start_iteration=begin, num_iteration=end - begin
            )
        yield end, total / len(boosters)


def importance(boosters: list["lightgbm.Booster"], matrix: NDArray[np.float32]) -> list[float]:
    """Return what share each of k features has in what moves the log-odds of rows (n, k).

    It is the mean of |contribution| over rows and bags (TreeSHAP: Lundberg et al., arXiv
    1802.03888), over the sum of all; zeros where nothing moves them.
    """
    some = sample_to_explain(matrix)
    total = np.zeros(matrix.shape[1])
    for booster in boosters:
        contributions = np.asarray(booster.predict(some, pred_contrib=True))[:, :-1]
        total += np.abs(contributions).mean(axis=0)
    return shares_of(total)
