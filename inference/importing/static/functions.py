"""Local functions of a model: counted as if written out, then written out."""

from collections.abc import Iterable

from onnx import FunctionProto, ModelProto, NodeProto

from inference.importing.static.first_line import first_line
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.importing.static.walking import subgraphs

_Key = tuple[str, str, str]


def count_nodes(model: ModelProto, limits: Limits) -> int:
    """Return the nodes of all graphs once every local function is written out.

    Raises:
        ImportRefusedError: they are too many, or a function calls itself.
    """
    functions: dict[_Key, FunctionProto] = {}
    for function in model.functions:
        key = (function.domain, function.name, function.overload)
        if key in functions:
            raise ImportRefusedError(
                f"function {function.name}", "it is there twice", "Export the model again"
            )
        functions[key] = function
    counts: dict[_Key, int] = {}
    for root in functions:
        # Not recursion: a chain of calls may be as long as there are functions.
        stack, open_calls = [root], set[_Key]()
        while stack:
            key = stack[-1]
            if key in counts:
                stack.pop()
                continue
            called = {
                k for node in _all_nodes(functions[key].node) if (k := _key(node)) in functions
            }
            waiting = called - counts.keys()
            if not waiting:
                counts[key] = _total(functions[key].node, counts)
                open_calls.discard(key)
                stack.pop()
                continue
            open_calls.add(key)
            if again := waiting & open_calls:
                raise ImportRefusedError(
                    f"function {min(again)[1]}", "it calls itself", "Export the model again"
                )
            stack.extend(waiting)
    total = _total(model.graph.node, counts)
    if max([total, *counts.values()]) > limits.nodes:
        raise ImportRefusedError(
            "",
            f"the graph has {max([total, *counts.values()]):,} nodes, functions written out, and "
            f"the limit is {limits.nodes:,}",
            "Export a smaller model, and trees as one TreeEnsemble",
        )
    return total


def inline_functions(model: ModelProto) -> ModelProto:
    """Return the model with its local functions written out; call `count_nodes` first.

    Raises:
        ImportRefusedError: ONNX cannot write them out.
    """
    if not model.functions:
        return model
    from onnx import inliner

    try:
        inlined: ModelProto = inliner.inline_local_functions(model)
    except Exception as error:  # of the C++ code, whose classes are not documented
        raise ImportRefusedError(
            "functions",
            f"the model's functions cannot be written out: {first_line(error)}",
            "Export it without functions",
        ) from error
    return inlined


def _key(node: NodeProto) -> _Key:
    return (node.domain, node.op_type, node.overload)


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterable[NodeProto]:
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        for attribute in node.attribute:
            for graph in subgraphs(attribute):
                stack.extend(graph.node)


def _total(nodes: Iterable[NodeProto], counts: dict[_Key, int]) -> int:
    return sum(1 + counts.get(_key(node), 0) for node in _all_nodes(nodes))
