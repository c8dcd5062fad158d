"""A model's outputs: maps of classes undone, tensors listed, classes named."""

from dataclasses import dataclass

from onnx import ModelProto, NodeProto, TensorProto, helper

from inference.importing.static.refusal import ImportRefusedError

_FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}


@dataclass(frozen=True)
class ModelOutput:
    """An output that could hold a score.

    Attributes:
        name: as the file says it.
        tensor: the tensor in the graph that holds it.
        classes: what its columns stand for, where the model says so.
    """

    name: str
    tensor: str
    classes: tuple[str, ...] | None


def read_outputs(model: ModelProto) -> tuple[ModelOutput, ...]:
    """Return the outputs of floating-point numbers.

    ``ZipMap``, with which scikit-learn's and others' converters turn probabilities into a list of
    maps, is looked through.

    Raises:
        ImportRefusedError: there is none.
    """
    made = {name: node for node in model.graph.node for name in node.output}
    classes = _classes(list(model.graph.node))
    floats, others = [], []
    for value in model.graph.output:
        node = made.get(value.name)
        if node is not None and node.op_type == "ZipMap" and node.domain == "ai.onnx.ml":
            floats.append(ModelOutput(value.name, node.input[0], _labels(node) or classes))
        elif value.type.tensor_type.elem_type in _FLOATS:
            floats.append(ModelOutput(value.name, value.name, classes))
        else:
            others.append(value.name)
    if not floats:
        raise ImportRefusedError(
            "outputs",
            f"none of {', '.join(others)} holds floating-point numbers: a label is no score",
            "Export the probability too (predict_proba)",
        )
    return tuple(floats)


def expose(model: ModelProto, outputs: tuple[ModelOutput, ...]) -> None:
    """Make these tensors the outputs of the graph, in this order."""
    elements = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    del model.graph.output[:]
    for name in dict.fromkeys(output.tensor for output in outputs):
        # A ZipMap reads float32; the shape is left to whoever loads the graph.
        element = elements.get(name, TensorProto.FLOAT)
        model.graph.output.append(helper.make_tensor_value_info(name, element, None))


def _classes(nodes: list[NodeProto]) -> tuple[str, ...] | None:
    """Return the classes of the one classifier in a graph."""
    found = [labels for node in nodes if (labels := _labels(node))]
    return found[0] if len(set(found)) == 1 else None


def _labels(node: NodeProto) -> tuple[str, ...] | None:
    if node.domain != "ai.onnx.ml":
        return None
    for attribute in node.attribute:
        if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
            return tuple(map(str, attribute.ints))
        if attribute.name == "classlabels_strings" and attribute.strings:
            return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
    return None
