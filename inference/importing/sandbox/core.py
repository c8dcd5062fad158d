"""From an exported model to the core of a package's graph: raw features in, the raw score out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from inference.importing.sandbox.scores import ScoreChoice
from inference.importing.sandbox.signature import ModelInput
from inference.importing.static.operators import STANDARD
from inference.importing.static.opsets import opset_of, raise_opset
from inference.importing.static.walking import subgraphs
from inference.onnx_nodes import prune
from inference.training.graph_parts import GraphBuilder
from inference.training.package_graph import IR_VERSION

PREFIX = "model/"
"""Of every name that comes from the imported file."""


@dataclass(frozen=True)
class Preparation:
    """What is done to raw features before an imported model sees them; arrays are float32 (k,).

    Attributes:
        fill: stands for missing values; None leaves them ``NaN``.
        mean: is subtracted, and the rest is divided by `scale`; both or neither.
        scale: see there.
    """

    fill: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return prepared rows (n, k)."""
        if self.fill is not None:
            rows = np.where(np.isnan(rows), self.fill, rows)
        if self.mean is not None and self.scale is not None:
            rows = (rows - self.mean) / self.scale
        return rows.astype(np.float32)


def free_batch(model: ModelProto, inputs: Sequence[ModelInput], width: int) -> None:
    """Let inputs have any number of rows, and say nothing of shapes that follow from that."""
    for value, each in zip(model.graph.input, inputs, strict=True):
        shape = ["n"] if each.rank == 1 else ["n", each.width or width]
        value.CopyFrom(helper.make_tensor_value_info(each.name, each.element, shape))
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def build_core(
    model: ModelProto,
    inputs: Sequence[ModelInput],
    *,
    score: ScoreChoice,
    anomaly: str | None,
    preparation: Preparation,
    width: int,
    nesting: int,
) -> ModelProto:
    """Return a model from ``features`` (n, width) to ``model_score`` (n,), both float32.

    Only nodes that the score needs are kept, under names of their own; what exporters note beside
    them, such as paths of source files, is left out.

    Args:
        model: a checked one, whose batch is free; it is left as it is.
        anomaly: a tensor of it that becomes ``model_anomaly`` (n, 1), or None.
        preparation: of the features.
        nesting: as in `Limits`.
    """
    core = ModelProto()
    core.CopyFrom(model)
    wanted = [score.tensor, *([anomaly] if anomaly else [])]
    elements = {value.name: value.type.tensor_type.elem_type for value in core.graph.output}
    del core.graph.output[:]
    core.graph.output.extend(
        helper.make_tensor_value_info(name, elements[name], None) for name in dict.fromkeys(wanted)
    )
    _prune(core.graph)
    core = raise_opset(core, nesting)
    _rename(core.graph)
    graph = GraphBuilder(opset_of(core))
    _add_front(graph, inputs, preparation)
    back = GraphBuilder(opset_of(core))
    _add_score(back, score)
    outputs = [helper.make_tensor_value_info("model_score", TensorProto.FLOAT, ["n"])]
    if anomaly:
        back.add("Cast", [PREFIX + anomaly], "anomaly_float", to=TensorProto.FLOAT)
        shape = back.constant("one_column", np.array([-1, 1]))
        back.add("Reshape", ["anomaly_float", shape], "model_anomaly")
        outputs.append(helper.make_tensor_value_info("model_anomaly", TensorProto.FLOAT, ["n", 1]))
    nodes = [*graph.nodes, *core.graph.node, *back.nodes]
    whole = helper.make_graph(
        nodes,
        "fraud",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        outputs,
        [*core.graph.initializer, *used_constants(nodes, graph, back)],
        sparse_initializer=list(core.graph.sparse_initializer),
    )
    return helper.make_model(
        whole,
        producer_name="weir",
        ir_version=max(IR_VERSION, core.ir_version),
        opset_imports=[entry for entry in core.opset_import if entry.domain in STANDARD],
    )


def used_constants(nodes: Sequence[NodeProto], *builders: GraphBuilder) -> list[TensorProto]:
    """Return the constants of builders that a node reads, each once."""
    read = {name for node in nodes for name in node.input}
    constants = {tensor.name: tensor for builder in builders for tensor in builder.constants}
    return [tensor for name, tensor in constants.items() if name in read]


def _add_front(graph: GraphBuilder, inputs: Sequence[ModelInput], preparation: Preparation) -> None:
    """Add the nodes from ``features`` to the model's own inputs."""
    prepared = "features"
    if preparation.fill is not None:
        graph.add("IsNaN", [prepared], "input_missing")
        fill = graph.constant("input_fill", preparation.fill)
        prepared = graph.add("Where", ["input_missing", fill, prepared], "input_filled")
    if preparation.mean is not None and preparation.scale is not None:
        mean = graph.constant("input_mean", preparation.mean)
        graph.add("Sub", [prepared, mean], "input_centred")
        scale = graph.constant("input_scale", preparation.scale)
        prepared = graph.add("Div", ["input_centred", scale], "input_scaled")
    column = 0
    for number, each in enumerate(inputs):
        part = prepared
        if len(inputs) > 1 or each.rank == 1:
            width = each.width or 1
            columns = np.arange(column, column + width)
            column += width
            index = graph.constant(f"input_columns_{number}", columns)
            part = graph.add("Gather", [prepared, index], f"input_part_{number}", axis=1)
            if each.rank == 1:
                part = graph.add("Squeeze", [part, "column"], f"input_row_{number}")
        graph.add("Cast", [part], PREFIX + each.name, to=each.element)


def _add_score(graph: GraphBuilder, score: ScoreChoice) -> None:
    """Add the nodes from the model's output to ``model_score``."""
    raw = PREFIX + score.tensor
    if score.column is not None:
        raw = _pick(graph, raw, score.column, "score_column")
    if score.against is not None:
        other = _pick(graph, PREFIX + score.tensor, score.against, "other_column")
        raw = graph.add("Sub", [raw, other], "logit_difference")
    graph.add("Cast", [raw], "model_score", to=TensorProto.FLOAT)


def _pick(graph: GraphBuilder, matrix: str, column: int, output: str) -> str:
    index = graph.constant(f"{output}_index", np.array([column]))
    graph.add("Gather", [matrix, index], f"{output}_matrix", axis=1)
    return graph.add("Squeeze", [f"{output}_matrix", "column"], output)


def _prune(graph: GraphProto) -> None:
    """Keep what the outputs need."""
    prune(graph)
    read = {name for node in graph.node for name in node.input}
    sparse = [tensor for tensor in graph.sparse_initializer if tensor.values.name in read]
    del graph.sparse_initializer[:], graph.value_info[:]
    graph.sparse_initializer.extend(sparse)


def _rename(graph: GraphProto) -> None:
    """Put `PREFIX` before every name, and take out notes, inside nodes' graphs too."""
    for node in graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
        node.name = PREFIX + node.name if node.name else ""
        node.input[:] = [PREFIX + name if name else "" for name in node.input]
        node.output[:] = [PREFIX + name if name else "" for name in node.output]
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            for inner in subgraphs(attribute):
                inner.ClearField("doc_string")
                del inner.value_info[:], inner.metadata_props[:]
                _rename(inner)
    for named in (*graph.initializer, *graph.input, *graph.output):
        named.ClearField("doc_string")
        named.name = PREFIX + named.name
    for sparse in graph.sparse_initializer:
        sparse.values.name = PREFIX + sparse.values.name
