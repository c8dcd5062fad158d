"""Writes graphs without the operators of ``ai.onnx.ml``, for engines that have none of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from inference.forest.graph_forms import tensor_form_or_why_not
from inference.importing.sandbox.core import used_constants
from inference.importing.static.opsets import opset_of
from inference.onnx_nodes import serialized
from inference.training.graph_parts import GraphBuilder

_Attributes = dict[str, Any]
_Writer = Callable[[GraphBuilder, NodeProto, _Attributes, str], bool]
"""Adds nodes for one, whose names begin with the last argument; says whether it could."""


def plain_form_or_why_not(model: bytes) -> tuple[bytes | None, str | None]:
    """Return a graph with tensor operators alone, or why there is none.

    Neither, where the graph is one already.
    """
    if not _other_operators(model):
        return None, None
    tensors, reason = tensor_form_or_why_not(model)
    if tensors is None:
        return None, reason
    plain = with_plain_operators(tensors)
    if others := _other_operators(plain):
        return None, f"no tensor form is known of {', '.join(others)}"
    return plain, None


def with_plain_operators(model: bytes) -> bytes:
    """Return a graph in which scalers, imputers and linear models are tensor operators.

    Formulas are those of ONNX's operator documentation; an operator that is used in a way which
    they leave open stays as it is.

    Args:
        model: a checked graph of opset 13 or later, without functions.
    """
    graph = ModelProto()
    graph.ParseFromString(model)
    builder = GraphBuilder(opset_of(graph))
    read = {name for node in graph.graph.node for name in node.input}
    for number, node in enumerate(graph.graph.node):
        write = _WRITERS.get(node.op_type) if node.domain == "ai.onnx.ml" else None
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        attributes["label is read"] = node.output[0] in read
        if write is None or not write(builder, node, attributes, f"plain_{number}"):
            builder.nodes.append(node)
    nodes = builder.nodes
    held = {tensor.name for tensor in graph.graph.initializer}
    new = [tensor for tensor in used_constants(nodes, builder) if tensor.name not in held]
    graph.graph.initializer.extend(new)
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    if all(node.domain == "" for node in nodes):
        version = helper.make_opsetid("", opset_of(graph))
        del graph.opset_import[:]
        graph.opset_import.append(version)
    return serialized(graph)


def _other_operators(model: bytes) -> list[str]:
    """Return the operators of a graph that are not of the default domain."""
    graph = ModelProto()
    graph.ParseFromString(model)
    return sorted({node.op_type for node in graph.graph.node if node.domain})


def _scaler(graph: GraphBuilder, node: NodeProto, attributes: _Attributes, name: str) -> bool:
    """Write (x - offset) * scale."""
    rows = _as_float(graph, node, name)
    offset = graph.constant(f"{name}_offset", np.array(attributes.get("offset", [0.0])))
    scale = graph.constant(f"{name}_scale", np.array(attributes.get("scale", [1.0])))
    graph.add("Sub", [rows, offset], f"{name}_centred")
    graph.add_as(node.output[0], "Mul", [f"{name}_centred", scale])
    return True


def _imputer(graph: GraphBuilder, node: NodeProto, attributes: _Attributes, name: str) -> bool:
    """Write the imputed value where ``NaN`` is replaced."""
    replaced = attributes.get("replaced_value_float", 0.0)
    if "imputed_value_floats" not in attributes or not np.isnan(replaced):
        return False
    rows = _as_float(graph, node, name)
    value = graph.constant(f"{name}_value", np.array(attributes["imputed_value_floats"]))
    graph.add("IsNaN", [rows], f"{name}_missing")
    graph.add_as(node.output[0], "Where", [f"{name}_missing", value, rows])
    return True


def _classifier(graph: GraphBuilder, node: NodeProto, attributes: _Attributes, name: str) -> bool:
    """Write the scores of a linear classifier with a row of coefficients for each class."""
    labels = attributes.get("classlabels_ints") or attributes.get("classlabels_strings") or []
    intercepts = attributes.get("intercepts") or [0.0] * len(labels)
    transform = attributes.get("post_transform", b"NONE")
    classes = len(labels)
    known = transform in (b"NONE", b"LOGISTIC", b"SOFTMAX")
    if attributes["label is read"] or not known or classes < 2 or len(intercepts) != classes:
        return False
    margins = _linear(graph, node, attributes, name, classes, intercepts)
    if transform == b"NONE":
        graph.add_as(node.output[1], "Identity", [margins])
    elif transform == b"SOFTMAX":
        graph.add_as(node.output[1], "Softmax", [margins], axis=1)
    else:
        graph.add_sigmoid(margins, f"{name}_logistic")
        graph.add_as(node.output[1], "Identity", [f"{name}_logistic"])
    return True


def _regressor(graph: GraphBuilder, node: NodeProto, attributes: _Attributes, name: str) -> bool:
    """Write the answers of a linear model."""
    targets = attributes.get("targets", 1)
    if attributes.get("post_transform", b"NONE") != b"NONE":
        return False
    intercepts = attributes.get("intercepts") or [0.0] * targets
    margins = _linear(graph, node, attributes, name, targets, intercepts)
    graph.add_as(node.output[0], "Identity", [margins])
    return True


def _linear(
    graph: GraphBuilder,
    node: NodeProto,
    attributes: _Attributes,
    name: str,
    rows: int,
    intercepts: list[float],
) -> str:
    """Add x · coefficients' + intercepts, (n, rows), and return its name."""
    coefficients = np.array(attributes["coefficients"]).reshape(rows, -1).T
    weights = graph.constant(f"{name}_weights", coefficients)
    bias = graph.constant(f"{name}_bias", np.array(intercepts))
    graph.add("MatMul", [_as_float(graph, node, name), weights], f"{name}_product")
    return graph.add("Add", [f"{name}_product", bias], f"{name}_margins")


def _as_float(graph: GraphBuilder, node: NodeProto, name: str) -> str:
    return graph.add("Cast", [node.input[0]], f"{name}_float", to=TensorProto.FLOAT)


_WRITERS: dict[str, _Writer] = {
    "Imputer": _imputer,
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
    "Scaler": _scaler,
}
