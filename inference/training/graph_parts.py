"""The parts that packages' graphs are made of: constants, nodes, calibration, anomaly model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.onnx_nodes import GraphNodes
from inference.training.autoencoder import Autoencoder
from inference.training.calibration import PlattScaling


class GraphBuilder(GraphNodes):
    """The nodes and constants of a package's graph.

    Args:
        opset: of the default domain, 13 or later; it decides how some nodes are written.
    """

    def __init__(self, opset: int) -> None:
        super().__init__()
        self._opset = opset
        self.constant("zero", 0.0)
        self.constant("one", 1.0)
        self.constant("column", [1])

    def add_sigmoid(self, log_odds: str, output: str) -> None:
        """Add 1 / (1 + e^-x).

        Not the operator ``Sigmoid``: ONNX Runtime's is an approximation, whose small probabilities
        are off by their own size and do not even keep the order of the margins.
        """
        self.add("Neg", [log_odds], f"{output}_negative")
        self.add("Exp", [f"{output}_negative"], f"{output}_odds_against")
        self.add("Add", [f"{output}_odds_against", "one"], f"{output}_inverse")
        self.add("Reciprocal", [f"{output}_inverse"], output)

    def add_row_mean(self, matrix: str, output: str) -> None:
        """Add the mean of each row: (n, k) to (n, 1)."""
        if self._opset < 18:
            self.add("ReduceMean", [matrix], output, axes=[1], keepdims=1)
        else:
            self.add("ReduceMean", [matrix, "column"], output, keepdims=1)


def add_calibration(graph: GraphBuilder, calibration: PlattScaling) -> None:
    """Add Platt scaling, from ``log_odds`` (n,) to ``probability`` (n,)."""
    slope = graph.constant("platt_slope", calibration.slope)
    intercept = graph.constant("platt_intercept", calibration.intercept)
    graph.add("Mul", ["log_odds", slope], "scaled_log_odds")
    graph.add("Add", ["scaled_log_odds", intercept], "calibrated_log_odds")
    graph.add_sigmoid("calibrated_log_odds", "probability")


def add_scaling(
    graph: GraphBuilder,
    source: str,
    center: NDArray[np.float32],
    scale: NDArray[np.float32],
    clip: float,
    prefix: str = "",
) -> tuple[str, str]:
    """Add `scaled` of rows (n, k); return its name, and that of what is missing, bool (n, k)."""
    middle = graph.constant(f"{prefix}center", center)
    graph.add("IsNaN", [source], f"{prefix}missing")
    graph.add("Where", [f"{prefix}missing", middle, source], f"{prefix}imputed")
    graph.add("Sub", [f"{prefix}imputed", middle], f"{prefix}centred")
    spread = graph.constant(f"{prefix}scale", scale)
    graph.add("Div", [f"{prefix}centred", spread], f"{prefix}spread")
    low = graph.constant(f"{prefix}clip_low", -clip)
    high = graph.constant(f"{prefix}clip_high", clip)
    return graph.add("Clip", [f"{prefix}spread", low, high], f"{prefix}scaled"), f"{prefix}missing"


def add_dense(
    graph: GraphBuilder,
    source: str,
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    prefix: str = "",
) -> str:
    """Add `dense_layers` of rows; return the name of the last one's output."""
    hidden = source
    for index, (weights, bias) in enumerate(layers):
        parameters = [
            graph.constant(f"{prefix}weights_{index}", weights),
            graph.constant(f"{prefix}bias_{index}", bias),
        ]
        hidden = graph.add("Gemm", [hidden, *parameters], f"{prefix}layer_{index}")
        if index < len(layers) - 1:
            hidden = graph.add("Relu", [hidden], f"{prefix}active_{index}")
    return hidden


def add_autoencoder(graph: GraphBuilder, model: Autoencoder) -> None:
    """Add the nodes of `Autoencoder`'s formula, from ``features`` to ``anomaly``."""
    z, _ = add_scaling(graph, "features", model.center, model.scale, model.clip)
    hidden = add_dense(graph, z, model.layers)
    graph.add("Sub", [z, hidden], "difference")
    graph.add("Mul", ["difference", "difference"], "square")
    graph.add("Div", ["square", graph.constant("residual", model.residual)], "relative")
    graph.add_row_mean("relative", "error")
    add_anomaly_level(graph, model.knots, model.levels)


def add_anomaly_level(
    graph: GraphBuilder, knots: NDArray[np.float32], levels: NDArray[np.float32]
) -> None:
    """Add the piecewise-linear map from ``error`` (n, 1) to ``anomaly`` (n,).

    A sum over segments of rise * clip((error - start) / length, 0, 1): constant outside the knots,
    never falling, and free of the lookups that compiled engines do not have.
    """
    graph.add("Sub", ["error", graph.constant("segment_start", knots[:-1])], "beyond_start")
    length = graph.constant("segment_length", np.diff(knots))
    graph.add("Div", ["beyond_start", length], "share")
    graph.add("Clip", ["share", "zero", "one"], "covered")
    rise = graph.constant("segment_rise", np.diff(levels)[:, None])
    graph.add("MatMul", ["covered", rise], "level")
    graph.add("Squeeze", ["level", "column"], "level_row")
    # The rises add up to 1 but for rounding.
    graph.add("Clip", ["level_row", "zero", "one"], "anomaly")
