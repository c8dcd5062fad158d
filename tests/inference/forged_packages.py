"""Packages that nobody trained: what whoever may write to the registry could put there."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.packages.package import ModelPackage, write_package

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
_OUTPUTS = ("score", "probability", "anomaly")


def _graph(package: ModelPackage, nodes: list, constants: dict) -> onnx.ModelProto:
    """A package's graph whose score is what `nodes` make of ``r``, a number for each row."""
    rows = helper.make_node("ReduceMean", ["features"], ["r"], axes=[1], keepdims=0)
    ends = [helper.make_node("Sigmoid", ["s0"], ["score"])]
    ends += [helper.make_node("Identity", ["score"], [name]) for name in _OUTPUTS[1:]]
    graph = helper.make_graph(
        [rows, *nodes, *ends],
        "fraud",
        [helper.make_tensor_value_info("features", FLOAT, ["n", len(package.features.names)])],
        [helper.make_tensor_value_info(name, FLOAT, ["n"]) for name in _OUTPUTS],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def endless_graph(package: ModelPackage) -> onnx.ModelProto:
    """A loop of 2^40 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["c"], ["c2"]),
            helper.make_node("Add", ["v", "one"], ["v2"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("c", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("c2", BOOL, []),
            helper.make_tensor_value_info("v2", FLOAT, []),
        ],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    nodes = [
        helper.make_node("Loop", ["trip", "yes", "zero"], ["lv"], body=body),
        helper.make_node("Mul", ["lv", "zero"], ["lz"]),
        helper.make_node("Add", ["r", "lz"], ["s0"]),
    ]
    constants = {"trip": np.int64(1 << 40), "yes": np.bool_(True), "zero": np.float32(0)}
    return _graph(package, nodes, constants)


def slow_graph(package: ModelPackage) -> onnx.ModelProto:
    """Products of large matrices, one after the other: for minutes, without a loop."""
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(400)]
    nodes += [
        helper.make_node("ReduceMean", ["m400"], ["mean"], keepdims=0),
        helper.make_node("Add", ["r", "mean"], ["s0"]),
    ]
    return _graph(package, nodes, {"shape": np.array([6_000, 6_000])})


def hungry_graph(package: ModelPackage) -> onnx.ModelProto:
    """Asks for 640 GB."""
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["r", "sum"], ["s0"]),
    ]
    return _graph(package, nodes, {"huge": np.array([400_000, 400_000])})


def custom_graph(package: ModelPackage) -> onnx.ModelProto:
    """An operator of somebody's library."""
    made = _graph(package, [helper.make_node("Mine", ["r"], ["s0"], domain="evil")], {})
    made.opset_import.append(helper.make_opsetid("evil", 1))
    return made


def forged(
    package: ModelPackage,
    folder: Path,
    model: onnx.ModelProto | bytes,
    tensors: bytes | None = None,
) -> ModelPackage:
    """A package that is all of another one, but for its graphs."""
    return write_package(
        folder,
        card=package.card,
        model=model if isinstance(model, bytes) else model.SerializeToString(),
        tensors=tensors,
        features=package.features,
        thresholds=package.thresholds,
        drift_reference=package.drift_reference,
        background=package.background,
    )
