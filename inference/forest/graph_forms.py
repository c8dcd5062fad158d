"""Changes the form of the trees in a finished ONNX graph, and leaves the rest as it is."""

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from inference.forest.class_scores import add_class_scores
from inference.forest.columns import TreeError
from inference.forest.forest import Forest
from inference.forest.onnx_reader import OPERATORS, read_tree_ensemble
from inference.forest.tensor_writer import add_tensors
from inference.onnx_nodes import GraphNodes, names_read_by, prune, serialized

_LEAST_OPSET = 13


@dataclass(frozen=True, eq=False)
class TreesInGraph:
    """The one operator of trees in a graph.

    Attributes:
        forest: its trees.
        source: name of the float32 rows (n, k) that it reads, before any conversion to double.
        node: the operator.
    """

    forest: Forest
    source: str
    node: onnx.NodeProto


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
    nodes = GraphNodes(_free_prefix(graph.graph))
    add_tensors(nodes, trees.forest, trees.source, _margin(trees, nodes))
    return _with_trees_replaced(graph, trees, nodes)


def tensor_form_or_why_not(model: bytes) -> tuple[bytes | None, str | None]:
    """Return a graph's tensor form, or None and the reason, as a package's card says it."""
    try:
        return tensor_form(model), None
    except TreeError as error:
        return None, str(error)


def margin_given(model: bytes) -> tuple[bytes, TreesInGraph, str]:
    """Return the graph with its trees' margin (n, 1) as an input; the trees; the input's name.

    Raises:
        TreeError: the graph has no trees that read its input as it is, or they cannot be read.
    """
    graph = onnx.load_from_string(model)
    trees = find_trees(graph)
    if trees.source != graph.graph.input[0].name:
        raise TreeError(f"the trees read {trees.source}, which is computed from the features")
    nodes = GraphNodes(_free_prefix(graph.graph))
    margin = _margin(trees, nodes)
    rows = graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    graph.graph.input.append(
        helper.make_tensor_value_info(margin, TensorProto.FLOAT, [rows or None, 1])
    )
    return _with_trees_replaced(graph, trees, nodes), trees, margin


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
    if (opset := _opset(model)) < _LEAST_OPSET:
        raise TreeError(f"the graph is of opset {opset}; {_LEAST_OPSET} or later is needed")
    if node.op_type == "TreeEnsembleClassifier" and _reads(graph, node.output[0]):
        raise TreeError(f"the graph reads {node.output[0]}, the label that trees choose")
    source, width = _source(model, node.input[0])
    return TreesInGraph(read_tree_ensemble(node, width), source, node)


def _margin(trees: TreesInGraph, nodes: GraphNodes) -> str:
    """Return the name for the margin: a regressor's answer is the margin itself."""
    if trees.node.op_type == "TreeEnsembleRegressor":
        return str(trees.node.output[0])
    return nodes.name("margin")


def _with_trees_replaced(model: onnx.ModelProto, trees: TreesInGraph, nodes: GraphNodes) -> bytes:
    """Put other nodes, and what makes a classifier's answers of the margin, in the trees' place."""
    if trees.node.op_type == "TreeEnsembleClassifier":
        add_class_scores(nodes, trees.node, _margin(trees, nodes))
    graph = model.graph
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        kept.extend(nodes.nodes if node.output == trees.node.output else [node])
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(nodes.constants)
    prune(graph)
    used = {node.domain for node in graph.node} | {""}
    domains = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(domains)
    try:
        return serialized(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise TreeError(f"the graph is not valid with other trees: {error}") from error


def _reads(graph: onnx.GraphProto, name: str) -> bool:
    """Say whether a node or an output of a graph reads a value."""
    read = {output.name for output in graph.output}
    for node in graph.node:
        read.update(node.input, *(names_read_by(attribute) for attribute in node.attribute))
    return name in read


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return versions[0] if versions else 0


def _source(model: onnx.ModelProto, name: str) -> tuple[str, int]:
    """Return the first float32 value that is the same numbers as one, and its number of columns.

    From float32 to double and back no number changes; to whole numbers they would.
    """
    inferred = onnx.shape_inference.infer_shapes(_without_trees(model)).graph
    known = (*inferred.input, *inferred.output, *inferred.value_info)
    kinds = {value.name: value.type.tensor_type for value in known}
    producers = {output: node for node in model.graph.node for output in node.output}
    source = None
    while name in kinds and kinds[name].elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE):
        if kinds[name].elem_type == TensorProto.FLOAT:
            source = name
        if name not in producers or producers[name].op_type not in ("Cast", "Identity"):
            break
        name = producers[name].input[0]
    if source is None:
        raise TreeError(f"the trees read {name}, which is not float32")
    dimensions = kinds[source].shape.dim
    if len(dimensions) != 2 or not dimensions[1].dim_value:
        raise TreeError(f"the trees read {source}, whose number of columns the graph does not say")
    return source, int(dimensions[1].dim_value)


def _without_trees(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph's other nodes: inference copies all twice, and trees are most of a model."""
    graph = model.graph
    others = helper.make_graph(
        [node for node in graph.node if node.op_type not in OPERATORS],
        graph.name,
        graph.input,
        graph.output,
        graph.initializer,
        value_info=graph.value_info,
    )
    return helper.make_model(
        others,
        ir_version=model.ir_version,
        opset_imports=model.opset_import,
        functions=model.functions,
    )


def _free_prefix(graph: onnx.GraphProto) -> str:
    """Return a prefix that no name in the graph begins with."""
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    prefix = "trees_"
    while any(name.startswith(prefix) for name in names):
        prefix = "_" + prefix
    return prefix
