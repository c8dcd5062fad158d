"""Builds a package's one ONNX graph: raw features in, score, probability and anomaly out."""

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import TensorProto, helper

from inference.autoencoder import Autoencoder
from inference.calibration import PlattScaling
from inference.graph_builder import GraphBuilder, add_autoencoder, add_calibration

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
    graph = GraphBuilder(OPSETS[""])
    graph.add("Cast", ["features"], "features_double", to=TensorProto.DOUBLE)
    graph.add("TreeEnsembleRegressor", ["features_double"], "margin", domain="ai.onnx.ml", **trees)
    graph.add("Squeeze", ["margin", "column"], "log_odds")
    graph.add_sigmoid("log_odds", "score")
    add_calibration(graph, calibration)
    add_autoencoder(graph, autoencoder)
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
