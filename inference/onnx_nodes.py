"""Nodes and constants of an ONNX graph under construction, and what changes a finished one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class GraphNodes:
    """Collects nodes and constants, each named by what it computes.

    Args:
        prefix: put before all names, for parts of a graph that has names of its own.
    """

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix

    def name(self, name: str) -> str:
        """Return a name with the prefix."""
        return self._prefix + name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's full name."""
        return self.add_as(self.name(output), operator, inputs, **attributes)

    def add_as(self, output: str, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node whose output has this very name."""
        self.nodes.append(
            helper.make_node(operator, inputs, [output], name=f"{output}_node", **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any] | float | list[int]) -> str:
        """Add a constant, and return its full name; doubles become float32, as engines compute."""
        array = np.asarray(value, order="C")
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.constants.append(numpy_helper.from_array(array, self.name(name)))
        return self.name(name)


def serialized(model: onnx.ModelProto) -> bytes:
    """Return the bytes of a checked model; the same model gives the same bytes."""
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def prune(graph: onnx.GraphProto) -> None:
    """Take out the nodes and constants that no output depends on; nodes are in order."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            for attribute in node.attribute:
                needed.update(names_read_by(attribute))
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def names_read_by(attribute: onnx.AttributeProto) -> set[str]:
    """Return all names that the graphs within an attribute read, those from outside among them."""
    graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
    names: set[str] = set()
    for graph in graphs:
        names.update(output.name for output in graph.output)
        for node in graph.node:
            names.update(node.input)
            for inner in node.attribute:
                names |= names_read_by(inner)
    return names
