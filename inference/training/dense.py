"""Fraud models that are layers of weights: logistic regression, and a small network."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from inference.training.graph_parts import GraphBuilder, add_dense, add_scaling
from inference.training.importance import sample_to_explain, shares_of
from inference.training.scaling import dense_layers, robust_scale, scaled
from inference.training.settings import DenseSettings


@dataclass(frozen=True, eq=False)
class DenseModel:
    """The log-odds of fraud as layers over scaled features, and over which of them are missing.

    Attributes:
        center, scale: medians and robust spreads, (k,).
        clip: bound of a scaled feature.
        layers: (weights (in, out), bias (out,)), relu between them; the first reads 2k numbers, the
            last gives one.
    """

    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    clip: float
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]

    def margin(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of fraud of rows (n, k), shape (n,)."""
        inputs = _inputs(matrix, self.center, self.scale, self.clip)
        return dense_layers(inputs, self.layers)[:, 0].astype(np.float64)

    def importance(self, matrix: NDArray[np.float32]) -> list[float]:
        """What share each feature has in what moves the log-odds of rows (n, k), (k,).

        It is the mean change of the log-odds where the feature's median stands in its place, over
        the sum of all; zeros where nothing moves them.
        """
        some = sample_to_explain(matrix)
        usual = self.margin(some)
        moved = np.zeros(matrix.shape[1])
        for j, middle in enumerate(self.center):
            without = some.copy()
            without[:, j] = middle
            moved[j] = np.abs(self.margin(without) - usual).mean()
        return shares_of(moved)

    def stages(self, matrix: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """None: there are no boosting rounds."""
        return iter(())

    def add_to(self, graph: GraphBuilder, source: str, output: str) -> None:
        """Add the nodes from rows (n, k) to the log-odds (n, 1)."""
        z, missing = add_scaling(graph, source, self.center, self.scale, self.clip, "fraud_")
        graph.add("Cast", [missing], "fraud_missing_flags", to=1)  # float32
        graph.add("Concat", [z, "fraud_missing_flags"], "fraud_inputs", axis=1)
        graph.add("Identity", [add_dense(graph, "fraud_inputs", self.layers, "fraud_")], output)


def fit_dense(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    settings: DenseSettings,
    hidden: tuple[int, ...],
    *,
    seed: int,
    weights: NDArray[np.float64] | None,
    progress: Callable[[float], None],
) -> DenseModel:
    """Fit a network on rows (n, k); without hidden layers it is logistic regression.

    The same rows, settings and seed give the same bits: the linear algebra runs on one thread.

    Args:
        hidden: widths of the hidden layers.
        weights: how many events each row stands for, (n,); 1 each where None.
    """
    center, scale = robust_scale(matrix)
    inputs = _inputs(matrix, center, scale, settings.clip)
    # Imported when needed: scikit-learn takes seconds, and every command would pay them.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    with threadpool_limits(1), warnings.catch_warnings():
        # The budget of epochs is meant to end the fit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if hidden:
            network = MLPClassifier(
                hidden_layer_sizes=hidden,
                alpha=settings.l2,
                batch_size=min(settings.batch_size, len(inputs)),
                learning_rate_init=settings.learning_rate,
                max_iter=settings.epochs,
                n_iter_no_change=settings.epochs,
                random_state=seed,
            )
            network.fit(inputs, labels, weights)
            found = zip(network.coefs_, network.intercepts_, strict=True)
        else:
            # C is the inverse of the penalty on all rows; that of a network is on their mean.
            line = LogisticRegression(C=1 / (settings.l2 * len(inputs)), max_iter=1_000)
            line.fit(inputs.astype(np.float64), labels, weights)
            found = zip([line.coef_.T], [line.intercept_], strict=True)
    progress(1.0)
    layers = tuple((np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in found)
    return DenseModel(center, scale, settings.clip, layers)


def _inputs(
    matrix: NDArray[np.float32],
    center: NDArray[np.float32],
    scale: NDArray[np.float32],
    clip: float,
) -> NDArray[np.float32]:
    missing = np.isnan(matrix).astype(np.float32)
    return np.hstack([scaled(matrix, center, scale, clip), missing])
