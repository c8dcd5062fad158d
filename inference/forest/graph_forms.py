"""Changes the form of the trees in a finished ONNX graph, and leaves the rest as it is."""

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from inference.forest.columns import TreeError
from inference.forest.forest import Forest
from inference.forest.onnx_reader import OPERATORS, read_tree_ensemble
from inference.forest.tensor_writer import add_tensors
from inference.graph_nodes import GraphNodes, prune, serialized


@dataclass(frozen=True, eq=False)
class TreesInGraph:
    """The one operator of trees in a graph.

    Attributes:
        forest: its trees.
        source: name of the float32 rows (n, k) that it reads, before any conversion to double.
        output: name of its answer, the margin (n, 1).
    """

    forest: Forest
    source: str
    output: str


def tensor_form(model: bytes) -> bytes:
    """Return a graph with the same answers whose trees are tensor operators.

    A graph without trees comes back as it is.

    Raises:
        TreeError: the trees cannot be read, or are too deep.
    """
    graph = onnx.load_from_string(model)
    if not has_trees(graph):
        return model
    trees = find_trees(graph)
    builder = GraphNodes(_free_prefix(graph.graph))
    add_tensors(builder, trees.forest, trees.source, trees.output)
    _replace(graph.graph, trees.output, builder)
    prune(graph.graph)
    _drop_unused_domains(graph)
    return serialized(graph)


def tensor_form_or_why_not(model: bytes) -> tuple[bytes | None, str | None]:
    """Return a graph's tensor form, or None and the reason, as a package's card says it."""
    try:
        return tensor_form(model), None
    except TreeError as error:
        return None, str(error)


def margin_given(model: bytes) -> tuple[bytes, TreesInGraph]:
    """Return the graph without its trees, which takes their margin as an input; and the trees.

    The input has the name and the shape (n, 1) of the trees' answer.

    Raises:
        TreeError: the graph has no trees that read its input as it is, or they cannot be read.
    """
    graph = onnx.load_from_string(model)
    trees = find_trees(graph)
    if trees.source != graph.graph.input[0].name:
        raise TreeError(f"the trees read {trees.source}, which is computed from the features")
    _replace(graph.graph, trees.output, GraphNodes())
    rows = graph.graph.input[0].type.tensor_type.shape.dim[0]
    name = rows.dim_param or "n"
    graph.graph.input.append(
        helper.make_tensor_value_info(trees.output, TensorProto.FLOAT, [name, 1])
    )
    prune(graph.graph)
    _drop_unused_domains(graph)
    return serialized(graph), trees


def has_trees(model: onnx.ModelProto) -> bool:
    """Say whether a graph has an operator of trees."""
    return any(node.op_type in OPERATORS for node in model.graph.node)


def find_trees(model: onnx.ModelProto) -> TreesInGraph:
    """Return the trees of a graph.

    Raises:
        TreeError: it has none or several, or they cannot be read.
    """
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type in OPERATORS]
    if len(nodes) != 1:
        raise TreeError(f"the graph has {len(nodes)} tree ensembles, not one")
    (node,) = nodes
    if node.op_type == "TreeEnsembleClassifier" or _post_transform(node) != "NONE":
        raise TreeError("a tree classifier or post_transform is not supported yet")
    source = _before_conversion(graph, node.input[0])
    return TreesInGraph(read_tree_ensemble(node, _width(model, source)), source, node.output[0])


def _post_transform(node: onnx.NodeProto) -> str:
    values = [a.s.decode() for a in node.attribute if a.name == "post_transform"]
    return values[0] if values else "NONE"


def _before_conversion(graph: onnx.GraphProto, name: str) -> str:
    """Return what a value was before it was cast or merely handed on."""
    producers = {output: node for node in graph.node for output in node.output}
    while name in producers and producers[name].op_type in ("Cast", "Identity"):
        name = producers[name].input[0]
    return name


def _width(model: onnx.ModelProto, source: str) -> int:
    """Return the number of columns of a value, which has to be float32."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    for value in (*inferred.input, *inferred.value_info):
        kind = value.type.tensor_type
        if value.name == source and len(kind.shape.dim) == 2 and kind.shape.dim[1].dim_value:
            if kind.elem_type != TensorProto.FLOAT:
                raise TreeError(f"the trees read {source}, which is not float32")
            return int(kind.shape.dim[1].dim_value)
    raise TreeError(f"the trees read {source}, whose number of columns the graph does not say")


def _replace(graph: onnx.GraphProto, output: str, builder: GraphNodes) -> None:
    """Put nodes in the place of the one that gives an output."""
    nodes = []
    for node in graph.node:
        nodes.extend(builder.nodes if output in node.output else [node])
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(builder.constants)


def _free_prefix(graph: onnx.GraphProto) -> str:
    """Return a prefix that no name in the graph begins with."""
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    prefix = "trees_"
    while any(name.startswith(prefix) for name in names):
        prefix = "_" + prefix
    return prefix


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
