"""What is checked of a file before anything in it is executed."""

import hashlib
from pathlib import Path

import onnx
from onnx import ModelProto

from inference.importing.static.check import Check
from inference.importing.static.ensembles import check_ensembles
from inference.importing.static.external_data import embed_external_data
from inference.importing.static.functions import count_nodes, inline_functions
from inference.importing.static.limits import Limits
from inference.importing.static.names import check_names
from inference.importing.static.operators import check_operators, normalise_domains
from inference.importing.static.reading import parse, read_bytes
from inference.importing.static.refusal import ImportRefusedError
from inference.importing.static.tensor_sizes import check_sizes, sparse_tensors
from inference.importing.static.walking import scopes, tensors


def read_checked(path: Path, limits: Limits) -> tuple[ModelProto, str, list[Check]]:
    """Return the model of a file, whole and in one piece, its SHA-256, and what was checked.

    External data are embedded, local functions written out, the default domain is ``""``.

    Raises:
        ImportRefusedError: the file is damaged, too large, or could do harm.
    """
    data = read_bytes(path, limits)
    model = parse(data)
    check_names(model)
    _drop_overridable_constants(model)
    nodes = count_nodes(model, limits)
    all_scopes = list(scopes(model, limits.nesting))
    taken_in = embed_external_data(
        (part for scope in all_scopes for part in tensors(scope)), path, limits
    )
    size = check_sizes(
        (part for scope in all_scopes for part in tensors(scope)),
        (part for scope in all_scopes for part in sparse_tensors(scope)),
        limits,
    )
    model = inline_functions(model)
    opsets = normalise_domains(model, limits.nesting)
    check_operators(model, opsets.get("", 0), limits)
    check_ensembles(model, limits)
    _check_format(model)
    external = f", {taken_in:,} of them from external data" if taken_in else ""
    checks = [
        Check("file", f"{len(data):,} bytes, {size:,} bytes of tensors{external}"),
        Check("operators", f"{nodes:,} nodes, all standard, none random or in training mode"),
    ]
    return model, hashlib.sha256(data).hexdigest(), checks


def _drop_overridable_constants(model: ModelProto) -> None:
    """Leave constants out of the inputs, among which older formats list them too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _check_format(model: ModelProto) -> None:
    """Let ONNX's own checker look at it; a default domain that no node needs may be missing."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not any(entry.domain == "" for entry in copy.opset_import):
        copy.opset_import.append(onnx.helper.make_opsetid("", 17))
    try:
        onnx.checker.check_model(copy)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise ImportRefusedError(
            "", f"it breaks ONNX's rules: {reason}", "Export it again with a newer exporter"
        ) from error
