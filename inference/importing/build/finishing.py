"""From the core of an imported model to a package's graph: score, probability and anomaly."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from inference.importing.sandbox.core import used_constants
from inference.importing.sandbox.options import ScoreKind
from inference.importing.static.opsets import opset_of
from inference.training.autoencoder import Autoencoder, quantile_map
from inference.training.calibration import PlattScaling, sigmoid
from inference.training.graph_parts import (
    GraphBuilder,
    add_anomaly_level,
    add_autoencoder,
    add_calibration,
)

_LEAST = 1e-7
"""Probabilities nearer to 0 or 1 than this count as this far: their log-odds are finite."""


@dataclass(frozen=True)
class AnomalyLevels:
    """What an imported anomaly measure means: levels, from 0 to 1, between rising knots.

    Attributes:
        sign: -1 where low values are the anomalous ones.
        knots: float32 (m,), of the measure times the sign.
        levels: float32 (m,).
    """

    sign: float
    knots: NDArray[np.float32]
    levels: NDArray[np.float32]


def fit_anomaly_levels(values: NDArray[np.float32], low: bool) -> AnomalyLevels:
    """Read the quantiles of a measure on legitimate rows (n,) that the model was not fitted on.

    What is beyond all of them has their whole range again until it is surely anomalous.
    """
    sign = -1.0 if low else 1.0
    measure = np.float32(sign) * values
    low_end, high_end = measure.min(), measure.max()
    knots, levels = quantile_map(measure, high_end + max(high_end - low_end, np.float32(1e-3)))
    return AnomalyLevels(sign, knots, levels)


def margins(raw: NDArray[np.float64], kind: ScoreKind) -> NDArray[np.float64]:
    """Return the log-odds of raw scores (n,), as the graph computes them."""
    if kind == "logit":
        return raw
    bounded = np.clip(raw, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(bounded) - np.log1p(-bounded))


def probabilities(raw: NDArray[np.float64], kind: ScoreKind) -> NDArray[np.float64]:
    """Return the model's own probabilities of raw scores (n,)."""
    return sigmoid(raw) if kind == "logit" else np.clip(raw, 0, 1)


def finish_graph(
    core: bytes,
    kind: ScoreKind,
    calibration: PlattScaling | None,
    anomaly: Autoencoder | AnomalyLevels,
    metadata: Mapping[str, str],
) -> bytes:
    """Return the package's graph; the same parts give the same bytes.

    Args:
        core: as `inference.importing.sandbox.core.build_core` makes it.
        kind: of its ``model_score``.
        calibration: of the score; without it the probability is the score.
        anomaly: the anomaly model, or the levels of the core's own ``model_anomaly``.
        metadata: what the model says of itself.
    """
    model = ModelProto()
    model.ParseFromString(core)
    graph = GraphBuilder(opset_of(model))
    if kind == "logit":
        graph.add("Identity", ["model_score"], "log_odds")
        graph.add_sigmoid("log_odds", "score")
    else:
        _add_bounds(graph, "model_score", "score", "zero", "one")
        if calibration is not None:
            _add_log_odds(graph)
    if calibration is not None:
        add_calibration(graph, calibration)
    else:
        graph.add("Identity", ["score"], "probability")
    if isinstance(anomaly, Autoencoder):
        add_autoencoder(graph, anomaly)
    else:
        sign = graph.constant("anomaly_sign", np.array(anomaly.sign))
        graph.add("Mul", ["model_anomaly", sign], "error")
        add_anomaly_level(graph, anomaly.knots, anomaly.levels)
    model.graph.node.extend(graph.nodes)
    held = {tensor.name for tensor in model.graph.initializer}
    model.graph.initializer.extend(
        tensor for tensor in used_constants(graph.nodes, graph) if tensor.name not in held
    )
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
        for name in ("score", "probability", "anomaly")
    )
    helper.set_model_props(model, dict(sorted(metadata.items())))
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _add_log_odds(graph: GraphBuilder) -> None:
    least = graph.constant("least_probability", np.array(_LEAST))
    most = graph.constant("most_probability", np.array(1 - _LEAST))
    _add_bounds(graph, "score", "inner_score", least, most)
    graph.add("Log", ["inner_score"], "log_for")
    graph.add("Sub", ["one", "inner_score"], "against_score")
    graph.add("Log", ["against_score"], "log_against")
    graph.add("Sub", ["log_for", "log_against"], "log_odds")


def _add_bounds(graph: GraphBuilder, values: str, output: str, low: str, high: str) -> None:
    """Add nodes that keep values within bounds; ``NaN`` stays, which ``Clip`` does not promise."""
    graph.add("Less", [values, low], f"{output}_below")
    graph.add("Where", [f"{output}_below", low, values], f"{output}_raised")
    graph.add("Greater", [values, high], f"{output}_above")
    graph.add("Where", [f"{output}_above", high, f"{output}_raised"], output)
