"""Small ONNX models, made by hand, that exporters or attackers could have written."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
NAMES = ("a", "b", "c")
WEIGHTS = np.array([[0.4], [-0.3], [0.2]], np.float32)


def node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, outputs, **attributes)


def logistic(x: str = "x", y: str = "y") -> list[NodeProto]:
    """Nodes from (n, 3) to a probability (n, 1); they need the constant "w"."""
    return [node("MatMul", [x, "w"], ["z"]), node("Sigmoid", ["z"], [y])]


def model(
    nodes: list[NodeProto],
    *,
    inputs: list[Any] | None = None,
    outputs: list[Any] | None = None,
    constants: dict[str, Any] | None = None,
    opsets: dict[str, int] | None = None,
    **more: Any,
) -> onnx.ModelProto:
    """A model with the constant "w", by default from x (n, 3) to y (n, 1)."""
    held = {"w": WEIGHTS} | (constants or {})
    graph = helper.make_graph(
        nodes,
        "graph",
        inputs or [helper.make_tensor_value_info("x", FLOAT, ["n", 3])],
        outputs or [helper.make_tensor_value_info("y", FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    imports = [helper.make_opsetid(d, v) for d, v in (opsets or {"": 17}).items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **more)


def save(path: Path, made: onnx.ModelProto) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def trees(**changes: Any) -> NodeProto:
    """One stump over column 0 of x as ``TreeEnsembleRegressor``, or what `changes` make of it."""
    attributes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [0.1, 0.8],
        "n_targets": 1,
    }
    return node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes | changes)
