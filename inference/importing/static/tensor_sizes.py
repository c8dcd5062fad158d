"""Tensors that say the truth about their size, and are not too large written out."""

from collections.abc import Iterable
from math import prod

from onnx import GraphProto, SparseTensorProto, TensorProto, helper

from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.importing.static.walking import Scope, sparse_of

_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
_DAMAGED = "The file is damaged: export or copy it again"


def check_tensor(place: str, tensor: TensorProto) -> int:
    """Return the bytes of a tensor.

    Raises:
        ImportRefusedError: its dimensions and its data do not agree.
    """
    if min(tensor.dims, default=0) < 0 or tensor.HasField("segment"):
        raise ImportRefusedError(place, "its dimensions are negative, or it is cut up", _DAMAGED)
    elements = prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        if len(tensor.string_data) != elements:
            raise ImportRefusedError(place, _disagree(tensor, len(tensor.string_data)), _DAMAGED)
        return sum(len(text) for text in tensor.string_data)
    bits = _bits(place, tensor)
    size: int = (elements * bits + 7) // 8
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != size:
            raise ImportRefusedError(
                place, _disagree(tensor, len(tensor.raw_data) * 8 // bits), _DAMAGED
            )
        return size
    held = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))
    if bits < 8:
        held *= 8 // bits
        fits = 0 <= held - elements < 8 // bits
    else:
        per_element = 2 if "COMPLEX" in TensorProto.DataType.Name(tensor.data_type) else 1
        fits = held == elements * per_element
    if not fits:
        raise ImportRefusedError(place, _disagree(tensor, held), _DAMAGED)
    return size


def check_sizes(
    parts: Iterable[tuple[str, TensorProto]],
    sparse: Iterable[tuple[str, SparseTensorProto]],
    limits: Limits,
) -> int:
    """Return the bytes of all tensors, sparse ones written out.

    Raises:
        ImportRefusedError: a tensor is malformed, or all together are too large.
    """
    total = 0
    for place, tensor in parts:
        total += check_tensor(place, tensor)
        _bound(place, total, limits)
    for place, tensor in sparse:
        if min(tensor.dims, default=0) < 0:
            raise ImportRefusedError(place, "its dimensions are negative", _DAMAGED)
        total += prod(tensor.dims) * _bits(place, tensor.values) // 8
        _bound(place, total, limits)
    return total


def sparse_tensors(scope: Scope) -> Iterable[tuple[str, SparseTensorProto]]:
    """Yield the sparse tensors of a scope."""
    if isinstance(scope.owner, GraphProto):
        for sparse in scope.owner.sparse_initializer:
            yield f"{scope.place} sparse initializer {sparse.values.name!r}".strip(), sparse
    for number, node in enumerate(scope.nodes):
        for attribute in node.attribute:
            place = f"{scope.at(number, node)}, attribute {attribute.name!r}"
            for sparse in sparse_of(attribute):
                yield place, sparse


def _bits(place: str, tensor: TensorProto) -> int:
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
        return _BITS.get(name) or helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    except (KeyError, ValueError):
        raise ImportRefusedError(
            place, f"it is of an unknown type, number {tensor.data_type}", _DAMAGED
        ) from None


def _disagree(tensor: TensorProto, held: int) -> str:
    shape = "x".join(map(str, tensor.dims))
    return f"it says that it has {shape or 1} elements, and holds {held:,}"


def _bound(place: str, total: int, limits: Limits) -> None:
    if total > limits.file_bytes:
        raise ImportRefusedError(
            place,
            f"written out, the tensors up to here take {total / 2**20:,.0f} MiB, and the limit is "
            f"{limits.file_mb:,}",
            "Raise --max-mb if you trust the file",
        )
