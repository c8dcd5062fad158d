"""Fits the fraud model by XGBoost, which the extra ``xgboost`` installs."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.training.importance import sample_to_explain, shares_of
from inference.training.rounds import spans_of
from inference.training.settings import XGBoostSettings
from inference.training.training_set import TrainingError

if TYPE_CHECKING:
    import xgboost


def fit_xgboost(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    settings: XGBoostSettings,
    *,
    weights: NDArray[np.float64] | None,
    seed: int,
    threads: int,
    progress: Callable[[float], None],
) -> "xgboost.Booster":
    """Fit a booster on rows (n, k) with ``NaN`` for missing values.

    The same rows, settings and seed give the same trees, on any number of threads.

    Args:
        weights: how many events each row stands for, (n,); 1 each where None.

    Raises:
        TrainingError: XGBoost is not installed.
    """
    xgb = _library()

    class Report(xgb.callback.TrainingCallback):  # type: ignore[name-defined,misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            progress((epoch + 1) / settings.rounds)
            return False

    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": settings.max_bin,
        "learning_rate": settings.learning_rate,
        "max_depth": settings.max_depth,
        "min_child_weight": settings.min_child_weight,
        "lambda": settings.lambda_l2,
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }
    rows = xgb.QuantileDMatrix(_finite(matrix), labels, weight=weights, max_bin=settings.max_bin)
    booster: xgboost.Booster = xgb.train(parameters, rows, settings.rounds, callbacks=[Report()])
    return booster


def margin(booster: "xgboost.Booster", matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-odds of fraud of rows (n, k), shape (n,)."""
    found = booster.predict(_library().DMatrix(_finite(matrix)), output_margin=True)
    return np.asarray(found, np.float64)


def stages(
    booster: "xgboost.Booster", matrix: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield rounds, and the log-odds of rows (n, k) after so many, (n,)."""
    rows = _library().DMatrix(_finite(matrix))
    for begin, end in spans_of(booster.num_boosted_rounds()):
        # What came of the rounds before stands in for the base score from the second time on.
        margin = booster.predict(rows, output_margin=True, iteration_range=(begin, end))
        rows.set_base_margin(margin)
        yield end, np.asarray(margin, np.float64)


def importance(booster: "xgboost.Booster", matrix: NDArray[np.float32]) -> list[float]:
    """Return what share each of k features has in what moves the log-odds of rows (n, k).

    As `inference.training.lightgbm_trees.importance`.
    """
    some = sample_to_explain(matrix)
    contributions = booster.predict(_library().DMatrix(_finite(some)), pred_contribs=True)[:, :-1]
    total = np.abs(np.asarray(contributions, np.float64)).mean(axis=0)
    return shares_of(total)


def _finite(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows with the largest number for infinity, which XGBoost refuses; no split parts the two."""
    largest = np.finfo(np.float32).max
    return np.clip(matrix, -largest, largest)


def _library() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise TrainingError(
            "training.family = 'xgboost' needs XGBoost: pip install 'weir[xgboost]', or choose "
            "another family"
        ) from error
    return xgboost
