"""Brings models of old opsets to one in which packages' own nodes can be written."""

from onnx import ModelProto, defs, helper
from onnx.defs import OpSchema

from inference.importing.static.first_line import first_line
from inference.importing.static.refusal import ImportRefusedError
from inference.importing.static.walking import scopes
from inference.training.package_graph import OPSETS

LEAST = 13
"""From here on `Squeeze` and others take what packages' own nodes give them."""


def opset_of(model: ModelProto) -> int:
    """Return the opset of the default domain; 0 where the model does not say it."""
    return next((entry.version for entry in model.opset_import if entry.domain == ""), 0)


def raise_opset(model: ModelProto, nesting: int) -> ModelProto:
    """Return the model in opset 13 or later.

    The operators of many an old file only learned new types since, so that the number alone can be
    raised; others are translated by ONNX's own converter. Either way, whoever calls compares the
    answers with those of the model as it was.

    Raises:
        ImportRefusedError: ONNX cannot translate it.
    """
    opset, wanted = opset_of(model), OPSETS[""]
    if opset >= LEAST:
        return model
    nodes = [node for scope in scopes(model, nesting) for node in scope.nodes if node.domain == ""]
    if all(_only_learned_types(node.op_type, opset, wanted) for node in nodes):
        others = [entry for entry in model.opset_import if entry.domain != ""]
        del model.opset_import[:]
        model.opset_import.extend([helper.make_opsetid("", wanted), *others])
        return model
    from onnx import version_converter

    try:
        converted: ModelProto = version_converter.convert_version(model, wanted)
    except Exception as error:  # of the C++ code, whose classes are not documented
        raise ImportRefusedError(
            "opset_import",
            f"opset {opset} cannot be translated to {wanted}: {first_line(error)}",
            f"Export it with opset_version={wanted}",
        ) from error
    return converted


def _only_learned_types(operator: str, opset: int, wanted: int) -> bool:
    try:
        old, new = (defs.get_schema(operator, version) for version in (opset, wanted))
    except defs.SchemaError:
        return False
    return old.since_version == new.since_version or _signature(old) == _signature(new)


def _signature(schema: OpSchema) -> tuple[object, ...]:
    return (
        [(each.name, each.option) for each in schema.inputs],
        [(each.name, each.option) for each in schema.outputs],
        {
            name: (attribute.type, attribute.required, attribute.default_value.SerializeToString())
            for name, attribute in schema.attributes.items()
        },
    )
