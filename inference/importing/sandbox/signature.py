"""A model's inputs, and which feature columns feed them."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto, TensorProto, ValueInfoProto

from inference.importing.static.refusal import ImportRefusedError

_TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
}


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: as the model says it.
        element: its type, a number of ``TensorProto.DataType``.
        dtype: the same as NumPy says it.
        rank: 1 for (n,), 2 for (n, width).
        width: its columns; None where the model leaves it open.
        batch: the number of rows if that is fixed, else None.
    """

    name: str
    element: int
    dtype: str
    rank: int
    width: int | None
    batch: int | None

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers, which have no ``NaN``."""
        return self.dtype.startswith("int")


def read_inputs(model: ModelProto) -> tuple[ModelInput, ...]:
    """Return the inputs of a model.

    Raises:
        ImportRefusedError: there is none, or one is no (n, k) matrix of numbers.
    """
    inputs = tuple(_read(value) for value in model.graph.input)
    if not inputs:
        raise ImportRefusedError("", "the graph has no input", "Export it with its input")
    fixed = [each for each in inputs if each.batch is not None]
    if len({each.batch for each in inputs}) > 1:
        raise ImportRefusedError(
            f"input {fixed[0].name!r}",
            f"it has a fixed number of {fixed[0].batch} row(s), and other inputs have not",
            "If these are constants that the exporter left as inputs, as it does with Keras's "
            "Normalization layer: use BatchNormalization, or export the model without that layer "
            "and give its mean and scale with --scale",
        )
    return inputs


def _read(value: ValueInfoProto) -> ModelInput:
    place = f"input {value.name!r}"
    if not value.type.HasField("tensor_type"):
        raise ImportRefusedError(place, "it is no tensor", "Export with a float input (n, k)")
    tensor = value.type.tensor_type
    if tensor.elem_type not in _TYPES:
        name = (
            TensorProto.DataType.Name(tensor.elem_type).lower()
            if tensor.elem_type in TensorProto.DataType.values()
            else str(tensor.elem_type)
        )
        raise ImportRefusedError(
            place,
            f"it is of type {name}, and features are numbers",
            "Encode words and categories as numbers before the model, and export with a float "
            "input (n, k)",
        )
    sizes = [
        dimension.dim_value if dimension.dim_value > 0 else None for dimension in tensor.shape.dim
    ]
    if len(sizes) not in (1, 2):
        raise ImportRefusedError(
            place,
            f"it has {len(sizes)} dimensions",
            "A model of events takes (n, k): one row per event, one column per feature",
        )
    return ModelInput(
        name=value.name,
        element=tensor.elem_type,
        dtype=_TYPES[tensor.elem_type],
        rank=len(sizes),
        width=sizes[1] if len(sizes) == 2 else 1,
        batch=sizes[0],
    )


def choose_features(
    inputs: Sequence[ModelInput],
    declared: Sequence[str],
    asked: Sequence[str] | None,
    in_file: Sequence[str] | None,
) -> tuple[str, ...]:
    """Return the names of the columns that feed the inputs, in their order.

    What `asked` says holds; else, of several inputs of one column each, their own names; else the
    names `in_file`; else all `declared` features.

    Raises:
        ImportRefusedError: a name is not declared, or the numbers of columns differ.
    """
    alone = len(inputs) == 1
    if asked:
        names, source = tuple(asked), "--features names"
    elif not alone:
        names, source = tuple(each.name for each in inputs), "its inputs name"
    elif in_file:
        names, source = tuple(in_file), "its metadata name"
    else:
        names, source = tuple(declared), "[features] declare"
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise ImportRefusedError(
            "inputs",
            f"{source} {', '.join(map(repr, unknown))}, which [features] do not declare",
            f"Declared are {', '.join(declared)}: choose among them with --features, in the "
            "model's order, or declare what is missing",
        )
    if len(set(names)) < len(names):
        raise ImportRefusedError("inputs", f"{source} a feature twice", "Name each once")
    widths = [each.width for each in inputs]
    if None in widths and not alone:
        raise ImportRefusedError(
            "inputs", "one of several inputs does not say its width", "Export it with its width"
        )
    width = len(names) if widths == [None] else sum(each or 0 for each in widths)
    if width != len(names):
        what = f"{width} columns" if alone else f"{len(inputs)} inputs of {width} columns in all"
        raise ImportRefusedError(
            "inputs",
            f"the model takes {what}, and {source} {len(names)}: {', '.join(names)}",
            "Name the model's columns in its order: --features a,b,c",
        )
    return names


def names_in(model: ModelProto) -> tuple[str, ...] | None:
    """Return the feature names in a model's metadata (``feature_names``, with commas), if any."""
    text = next((p.value for p in model.metadata_props if p.key == "feature_names"), "")
    return tuple(name.strip() for name in text.split(",")) if text.strip() else None
