"""Samples, model and operator in one ONNX graph: events in, explanations out.

For engines that answer a graph as a whole, TensorRT above all. It computes in float32 what
`explain.lime.lime.Lime` computes in double.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from explain.errors import ExplainError
from explain.lime.explanation import Explanation
from explain.lime.lime import Lime
from explain.lime.model_queries import LEAST_SCORE
from explain.lime.perturbation_design import Design
from explain.lime.settings import ExplainSettings
from inference.engine.onnx_session import load_session
from inference.onnx_nodes import GraphNodes, names_read_by, prune, serialized
from inference.packages.package import ModelPackage

OUTPUTS = ("explained_log_odds", "explained_effects", "explained_error", "explained_r2")
"""Shapes (n,), (n, 1 + g) with the baseline first, (n,), and (n,)."""

_LEAST_OPSET = 13
_NO_VARIANCE = 1e-12


def fused_graph(package: ModelPackage, design: Design) -> bytes:
    """Return the graph from ``features`` (n, k) to `OUTPUTS`.

    Of the package's tensor form, where it has one, so that engines without trees can run it.

    Raises:
        ExplainError: the package's graph can't be built upon.
    """
    model = onnx.load_from_string(package.tensors or package.model)
    graph = model.graph
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    if opset < _LEAST_OPSET:
        raise ExplainError(
            f"model {package.short_id} is of opset {opset}; {_LEAST_OPSET} or later is needed"
        )
    nodes = GraphNodes("explain_")
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    if any(name.startswith("explain") for name in names):
        raise ExplainError(f"model {package.short_id} uses names that begin with 'explain'")
    rows = _samples(nodes, design)
    for node in graph.node:
        if any("features" in names_read_by(attribute) for attribute in node.attribute):
            raise ExplainError(f"model {package.short_id} reads its features in a subgraph")
        for place, name in enumerate(node.input):
            if name == "features":
                node.input[place] = rows
    before, nodes.nodes = list(nodes.nodes), []
    own = package.card.source is None and "log_odds" in names
    _read(nodes, "log_odds" if own else _log_odds(nodes), design)
    inner = list(graph.node)
    del graph.node[:], graph.output[:]
    graph.node.extend([*before, *inner, *nodes.nodes])
    graph.initializer.extend(nodes.constants)
    width = 1 + len(design.groups.names)
    shapes: tuple[list[str | int], ...] = (["n"], ["n", width], ["n"], ["n"])
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(OUTPUTS, shapes, strict=True)
    )
    del graph.value_info[:]
    prune(graph)
    return serialized(model)


class FusedLime(Lime):
    """`Lime` by the fused graph, in ONNX Runtime on one thread of the CPU."""

    def __init__(self, package: ModelPackage, settings: ExplainSettings) -> None:
        super().__init__(package, settings)
        self._session = load_session(
            fused_graph(package, self.design), f"the explainer of model {package.short_id}"
        )

    def explain(self, rows: NDArray[np.float32]) -> list[Explanation]:
        """Explain the answers to events (n, k) in the package's columns."""
        answers = self._session.run(OUTPUTS, {"features": np.ascontiguousarray(rows)})
        return [
            self._explanation(float(log_odds), effects.astype(np.float64), float(error), float(r2))
            for log_odds, effects, error, r2 in zip(*answers, strict=True)
        ]


def _samples(nodes: GraphNodes, design: Design) -> str:
    """Add the samples of each event, and the event itself behind them: rows (n · (m + 1), k)."""
    kept = np.pad(design.kept_columns, ((0, 1), (0, 0)), constant_values=True)
    drawn = np.pad(design.drawn, ((0, 1), (0, 0)))
    event = nodes.add("Unsqueeze", ["features", nodes.constant("one", [1])], "event")
    mixed = nodes.add(
        "Where",
        [nodes.constant("kept", kept[None]), event, nodes.constant("drawn", drawn[None])],
        "mixed",
    )
    shape = nodes.constant("rows_shape", [-1, drawn.shape[1]])
    return nodes.add("Reshape", [mixed, shape], "rows")


def _log_odds(nodes: GraphNodes) -> str:
    """Add the log-odds of the score."""
    bounds = [nodes.constant("least", LEAST_SCORE), nodes.constant("most", 1 - LEAST_SCORE)]
    score = nodes.add("Clip", ["score", *bounds], "score")
    against = nodes.add("Sub", [nodes.constant("whole", 1.0), score], "against")
    logs = [nodes.add("Log", [each], f"log_{i}") for i, each in enumerate((score, against))]
    return nodes.add("Sub", logs, "log_odds")


def _read(nodes: GraphNodes, log_odds: str, design: Design) -> None:
    """Add what `explain.kernels.fit` computes, for all events at once."""
    m = len(design.operator)
    table = nodes.add("Reshape", [log_odds, nodes.constant("table_shape", [-1, m + 1])], "table")
    axis = nodes.constant("axis", [1])

    def part(source: str, start: int, stop: int, name: str) -> str:
        ends = [nodes.constant(f"{name}_{i}", [at]) for i, at in enumerate((start, stop))]
        return nodes.add("Slice", [source, *ends, axis], name)

    def times(left: str, right: NDArray[np.float64], name: str) -> str:
        return nodes.add("MatMul", [left, nodes.constant(f"{name}_by", right)], name)

    answers = part(table, 0, m, "answers")
    nodes.add_as(OUTPUTS[0], "Squeeze", [part(table, m, m + 1, "own"), axis])
    effects = times(answers, design.operator, "effects")
    nodes.add_as(OUTPUTS[1], "Identity", [effects])

    weights = design.weights[:, None]
    centred = nodes.add("Sub", [answers, times(answers, weights, "mean")], "centred")
    total = times(nodes.add("Mul", [centred, centred], "squared"), weights, "total")
    fitted = times(effects, design.regressors, "fitted")
    missed = nodes.add("Sub", [answers, fitted], "missed")
    left = times(nodes.add("Mul", [missed, missed], "missed_squared"), weights, "left")
    tiny = nodes.constant("tiny", _NO_VARIANCE)
    unexplained = nodes.add("Div", [left, nodes.add("Max", [total, tiny], "some")], "unexplained")
    whole = nodes.constant("all", 1.0)
    share = nodes.add("Sub", [whole, unexplained], "share")
    varies = nodes.add("Greater", [total, tiny], "varies")
    r2 = nodes.add("Where", [varies, share, whole], "r2")
    nodes.add_as(OUTPUTS[3], "Squeeze", [r2, axis])

    rows, columns = m // design.runs, design.idle.shape[1]
    by_row = np.zeros((m, rows * columns))
    for row in range(rows):
        own = slice(row * design.runs, (row + 1) * design.runs)
        by_row[own, row * columns : (row + 1) * columns] = design.idle[own]
    contrasts = times(answers, by_row, "contrasts")
    squares = nodes.add("Mul", [contrasts, contrasts], "contrasts_squared")
    noise = times(squares, np.full((rows * columns, 1), 1 / columns), "noise")
    nodes.add_as(OUTPUTS[2], "Squeeze", [nodes.add("Sqrt", [noise], "error"), axis])
