"""The fraud model of a package, of the family that the settings name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.forest.lightgbm_reader import read_lightgbm
from inference.forest.onnx_writer import add_tree_ensemble
from inference.forest.xgboost_reader import read_xgboost
from inference.training import xgboost_trees
from inference.training.dense import fit_dense
from inference.training.graph_parts import GraphBuilder
from inference.training.lightgbm_trees import fit_trees, importance, margin, stages
from inference.training.package_graph import AddsMargin
from inference.training.settings import TrainingSettings

if TYPE_CHECKING:
    import lightgbm
    import xgboost


class FraudModel(AddsMargin, Protocol):
    """A fitted model of the log-odds of fraud."""

    def margin(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of fraud of rows (n, k) with ``NaN`` where missing, shape (n,)."""
        ...

    def importance(self, matrix: NDArray[np.float32]) -> list[float]:
        """What share each of k features has in what moves the log-odds of rows (n, k)."""
        ...

    def stages(self, matrix: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Log-odds of rows (n, k) after some of the boosting rounds, the last one among them.

        Nothing where there are no such rounds.
        """
        ...


@dataclass(frozen=True, eq=False)
class TreeModel:
    """The mean of several bags of trees."""

    boosters: list["lightgbm.Booster"]

    def margin(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `FraudModel`."""
        return margin(self.boosters, matrix)

    def importance(self, matrix: NDArray[np.float32]) -> list[float]:
        """See `FraudModel`."""
        return importance(self.boosters, matrix)

    def stages(self, matrix: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """See `FraudModel`."""
        return stages(self.boosters, matrix)

    def add_to(self, graph: GraphBuilder, source: str, output: str) -> None:
        """See `FraudModel`."""
        forest = read_lightgbm([booster.dump_model() for booster in self.boosters])
        add_tree_ensemble(graph, forest, source, output)


@dataclass(frozen=True, eq=False)
class XGBoostModel:
    """A booster of XGBoost."""

    booster: "xgboost.Booster"

    def margin(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `FraudModel`."""
        return xgboost_trees.margin(self.booster, matrix)

    def importance(self, matrix: NDArray[np.float32]) -> list[float]:
        """See `FraudModel`."""
        return xgboost_trees.importance(self.booster, matrix)

    def stages(self, matrix: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """See `FraudModel`."""
        return xgboost_trees.stages(self.booster, matrix)

    def add_to(self, graph: GraphBuilder, source: str, output: str) -> None:
        """See `FraudModel`."""
        forest = read_xgboost(bytes(self.booster.save_raw("json")))
        add_tree_ensemble(graph, forest, source, output)


def fit_fraud_model(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    settings: TrainingSettings,
    weights: NDArray[np.float64] | None,
    progress: Callable[[float], None],
) -> FraudModel:
    """Fit a model of ``training.family`` on rows (n, k).

    The same rows and settings give the same model. With ``training.class_weight`` its log-odds are
    not those of the rows: calibrate them on rows as they are.

    Args:
        weights: how many events each row stands for, (n,); 1 each where None.

    Raises:
        TrainingError: what the family needs is not installed.
    """
    weights = _with_class_weight(labels, weights, settings)
    if settings.family == "lightgbm":
        return TreeModel(
            fit_trees(
                matrix,
                labels,
                settings.trees,
                weights=weights,
                seed=settings.seed,
                threads=settings.threads,
                progress=progress,
            )
        )
    if settings.family == "xgboost":
        return XGBoostModel(
            xgboost_trees.fit_xgboost(
                matrix,
                labels,
                settings.xgboost,
                weights=weights,
                seed=settings.seed,
                threads=settings.threads,
                progress=progress,
            )
        )
    return fit_dense(
        matrix,
        labels,
        settings.dense,
        settings.dense.hidden if settings.family == "mlp" else (),
        seed=settings.seed,
        weights=weights,
        progress=progress,
    )


def _with_class_weight(
    labels: NDArray[np.int8], weights: NDArray[np.float64] | None, settings: TrainingSettings
) -> NDArray[np.float64] | None:
    times = settings.class_weight
    if times == "none":
        return weights
    each = np.ones(len(labels)) if weights is None else weights
    fraud = labels == 1
    if times == "balanced":
        frauds = each[fraud].sum()
        times = (each.sum() - frauds) / frauds if frauds else 1.0
    return np.where(fraud, each * times, each)
