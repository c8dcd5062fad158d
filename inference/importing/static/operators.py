"""Operators that a model may hold: standard ones, with one answer to a row, however often asked."""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.importing.static.walking import Scope, constant_of, scopes

STANDARD = {"", "ai.onnx.ml"}
LEAST_OPSET = 7
_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
_OPEN = {"Scan", "SequenceMap"}
"""Loops that are as long as what they are given."""
_ROUNDS = _OPEN | {"Loop"}
_EVAL = "Export in evaluation mode: model.eval() in PyTorch, training=False in Keras"


def normalise_domains(model: ModelProto, nesting: int) -> dict[str, int]:
    """Write the default domain as ``""`` everywhere, and return the opset of each domain.

    Local functions are written out before.

    Raises:
        ImportRefusedError: a domain is there in two versions, or the opset is too old or too new.
    """
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise ImportRefusedError(
                "opset_import", f"domain {domain!r} is there in two versions", "Export it again"
            )
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in opsets.items())
    for scope in scopes(model, nesting):
        for node in scope.nodes:
            node.domain = "" if node.domain == "ai.onnx" else node.domain
    newest = onnx.defs.onnx_opset_version()
    if "" in opsets and not LEAST_OPSET <= opsets[""] <= newest:
        raise ImportRefusedError(
            "opset_import",
            f"opset {opsets['']} is not among {LEAST_OPSET} to {newest}, which Weir's ONNX knows",
            "Export it with opset_version=17",
        )
    return opsets


def check_operators(model: ModelProto, opset: int, limits: Limits) -> None:
    """Check every node, those in graphs inside nodes among them; functions are written out before.

    Raises:
        ImportRefusedError: an operator is no standard one, draws random numbers, is in training
            mode, or loops without bound.
    """
    for scope in scopes(model, limits.nesting):
        for number, node in enumerate(scope.nodes):
            place = scope.at(number, node)
            if node.domain not in STANDARD:
                raise ImportRefusedError(
                    place,
                    f"it is a custom operator, of domain {node.domain!r}",
                    "Only ONNX's own operators (ai.onnx, ai.onnx.ml) run everywhere: export "
                    "without plugins and contrib operators",
                )
            if node.domain == "":
                _check_standard(place, node, scope, opset, limits)


def _check_standard(place: str, node: NodeProto, scope: Scope, opset: int, limits: Limits) -> None:
    if node.op_type in _RANDOM:
        raise ImportRefusedError(
            place, "it draws random numbers: one event would have many scores", _EVAL
        )
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        mode = constant_of(node.input[2], scope)
        if mode is None or numpy_helper.to_array(mode).any():
            raise ImportRefusedError(place, "the dropout is in training mode", _EVAL)
    if node.op_type == "BatchNormalization":
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        statistics = sum(1 for output in node.output if output) > 1
        if attributes.get("training_mode") or (statistics and opset < 14):
            raise ImportRefusedError(
                place, "the batch normalisation is in training mode: it mixes events", _EVAL
            )
    around = {outer.op_type for outer in scope.within}
    if node.op_type in _ROUNDS and (around & _OPEN or (node.op_type in _OPEN and around & _ROUNDS)):
        raise ImportRefusedError(
            place,
            "it is a loop in a loop, one of which is as long as a tensor",
            "Export a model without loops in one another",
        )
    if node.op_type == "Loop":
        _check_loop(place, node, scope, limits)


def _check_loop(place: str, node: NodeProto, scope: Scope, limits: Limits) -> None:
    rounds = 1
    around = (scope, *scope.around)
    for seen, loop in zip(around, (node, *scope.within), strict=False):
        if loop.op_type != "Loop":
            continue
        name = loop.input[0] if loop.input else ""
        trips = _whole(constant_of(name, seen)) if name else None
        if trips is None:
            raise ImportRefusedError(
                place,
                "the number of its rounds is not a constant: it may never end",
                "Export a loop of fixed length, or unroll it",
            )
        rounds *= max(trips, 1)
    if rounds > limits.loop_rounds:
        raise ImportRefusedError(
            place,
            f"it goes round {rounds:,} times, and the limit is {limits.loop_rounds:,}",
            "Export a model without long loops",
        )


def _whole(tensor: TensorProto | None) -> int | None:
    if tensor is None:
        return None
    value = numpy_helper.to_array(tensor)
    return int(value.reshape(-1)[0]) if value.size == 1 and value.dtype == np.int64 else None
