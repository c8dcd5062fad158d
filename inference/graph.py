"""Builds a package's one ONNX graph: raw features in, score, probability and anomaly out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.autoencoder import Autoencoder
from inference.calibration import PlattScaling

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


def build_graph(
    trees: Mapping[str, Any],
    calibration: PlattScaling,
    autoencoder: Autoencoder,
    metadata: Mapping[str, str],
) -> bytes:
    """Return the serialised, checked model; the same parts give the same bytes.

    Args:
        trees: attributes of the ensemble, as `inference.trees.tree_attributes` returns them.
        calibration: from the ensemble's margin to the probability.
        autoencoder: the anomaly model.
        metadata: what the model says of itself.
    """
    graph = _Graph()
    graph.constant("zero", np.array(0.0))
    graph.constant("one", np.array(1.0))
    graph.add("Cast", ["features"], "features_double", to=TensorProto.DOUBLE)
    graph.add("TreeEnsembleRegressor", ["features_double"], "margin", domain="ai.onnx.ml", **trees)
    graph.add("Squeeze", ["margin", graph.constant("column", np.array([1]))], "log_odds")
    graph.add_sigmoid("log_odds", "score")
    _add_calibration(graph, calibration)
    _add_autoencoder(graph, autoencoder)
    width = len(autoencoder.center)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "fraud",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
                for name in ("score", "probability", "anomaly")
            ],
            graph.constants,
        ),
        producer_name="weir",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
    )
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


class _Graph:
    """Nodes and constants under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(
            helper.make_node(operator, inputs, [output], name=f"{output}_node", **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add_sigmoid(self, log_odds: str, output: str) -> None:
        """Add 1 / (1 + e^-x).

        Not the operator ``Sigmoid``: ONNX Runtime's is an approximation, whose small probabilities
        are off by their own size and do not even keep the order of the margins.
        """
        self.add("Neg", [log_odds], f"{output}_negative")
        self.add("Exp", [f"{output}_negative"], f"{output}_odds_against")
        self.add("Add", [f"{output}_odds_against", "one"], f"{output}_inverse")
        self.add("Reciprocal", [f"{output}_inverse"], output)


def _add_calibration(graph: _Graph, calibration: PlattScaling) -> None:
    slope = graph.constant("platt_slope", np.array(calibration.slope))
    intercept = graph.constant("platt_intercept", np.array(calibration.intercept))
    graph.add("Mul", ["log_odds", slope], "scaled_log_odds")
    graph.add("Add", ["scaled_log_odds", intercept], "calibrated_log_odds")
    graph.add_sigmoid("calibrated_log_odds", "probability")


def _add_autoencoder(graph: _Graph, model: Autoencoder) -> None:
    """Add the nodes of `Autoencoder`'s formula, from ``features`` to ``anomaly``."""
    center = graph.constant("center", model.center)
    graph.add("IsNaN", ["features"], "missing")
    graph.add("Where", ["missing", center, "features"], "imputed")
    graph.add("Sub", ["imputed", center], "centred")
    graph.add("Div", ["centred", graph.constant("scale", model.scale)], "spread")
    low = graph.constant("clip_low", np.array(-model.clip))
    high = graph.constant("clip_high", np.array(model.clip))
    z = hidden = graph.add("Clip", ["spread", low, high], "scaled")
    for index, (weights, bias) in enumerate(model.layers):
        parameters = [
            graph.constant(f"weights_{index}", weights),
            graph.constant(f"bias_{index}", bias),
        ]
        hidden = graph.add("Gemm", [hidden, *parameters], f"layer_{index}")
        if index < len(model.layers) - 1:
            hidden = graph.add("Relu", [hidden], f"active_{index}")
    graph.add("Sub", [z, hidden], "difference")
    graph.add("Mul", ["difference", "difference"], "square")
    graph.add("Div", ["square", graph.constant("residual", model.residual)], "relative")
    graph.add("ReduceMean", ["relative"], "error", axes=[1], keepdims=1)
    _add_interpolation(graph, model.knots, model.levels)


def _add_interpolation(
    graph: _Graph, knots: NDArray[np.float32], levels: NDArray[np.float32]
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
