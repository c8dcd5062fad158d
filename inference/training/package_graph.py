"""Builds a package's one ONNX graph: raw features in, score, probability and anomaly out."""

from collections.abc import Mapping
from typing import Protocol

from onnx import TensorProto, helper

from inference.onnx_nodes import serialized
from inference.training.autoencoder import Autoencoder
from inference.training.calibration import PlattScaling
from inference.training.graph_parts import GraphBuilder, add_autoencoder, add_calibration

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


class AddsMargin(Protocol):
    """A fraud model that a graph can be made of; see `inference.training.fraud_model`."""

    def add_to(self, graph: GraphBuilder, source: str, output: str) -> None:
        """Add the nodes from rows (n, k) to the log-odds (n, 1)."""
        ...


def build_graph(
    fraud: AddsMargin,
    calibration: PlattScaling,
    autoencoder: Autoencoder,
    metadata: Mapping[str, str],
) -> bytes:
    """Return the serialised, checked model; the same parts give the same bytes.

    Args:
        fraud: the fraud model.
        calibration: from its margin to the probability.
        autoencoder: the anomaly model.
        metadata: what the model says of itself.
    """
    graph = GraphBuilder(OPSETS[""])
    fraud.add_to(graph, "features", "margin")
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
    return serialized(model)
