"""Every graph, node and tensor of a model, wherever it hides, with its place in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
)

from inference.importing.static.refusal import ImportRefusedError


@dataclass(frozen=True)
class Scope:
    """One graph or function body.

    Attributes:
        place: where it is, empty for the model's own graph.
        owner: the graph or the function.
        depth: 0 for the model's graph and for functions, 1 for a graph in one of their nodes.
        around: the scopes that it sees into, the nearest first.
        within: the nodes that it is in, the nearest first.
    """

    place: str
    owner: GraphProto | FunctionProto
    depth: int = 0
    around: tuple["Scope", ...] = ()
    within: tuple[NodeProto, ...] = field(default=(), repr=False)

    @property
    def nodes(self) -> Sequence[NodeProto]:
        """Its nodes, without those of graphs inside them."""
        nodes: Sequence[NodeProto] = self.owner.node
        return nodes

    def at(self, number: int, node: NodeProto) -> str:
        """The place of one of its nodes."""
        name = f" {node.name!r}" if node.name else ""
        here = f"node {number}{name} ({node.op_type})"
        return f"{self.place}, {here}" if self.place else here


def scopes(model: ModelProto, nesting: int) -> Iterator[Scope]:
    """Yield the model's graph, its functions, and the graphs inside their nodes.

    Raises:
        ImportRefusedError: graphs lie deeper in one another than `nesting`.
    """
    stack = [Scope("", model.graph)]
    stack += [
        Scope(f"function {f.domain}.{f.name}" if f.domain else f"function {f.name}", f)
        for f in model.functions
    ]
    while stack:
        scope = stack.pop()
        yield scope
        for number, node in enumerate(scope.nodes):
            for attribute in node.attribute:
                for graph in subgraphs(attribute):
                    place = f"{scope.at(number, node)}, graph {attribute.name!r}"
                    if scope.depth >= nesting:
                        raise ImportRefusedError(
                            place,
                            f"graphs are nested more than {nesting} deep",
                            "Export a model without nested If, Loop and Scan",
                        )
                    stack.append(
                        Scope(
                            place,
                            graph,
                            scope.depth + 1,
                            (scope, *scope.around),
                            (node, *scope.within),
                        )
                    )


def subgraphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    """Yield the graphs in an attribute, whatever it says that its type is."""
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def tensors(scope: Scope) -> Iterator[tuple[str, TensorProto]]:
    """Yield the tensors of a scope and of its nodes' attributes; sparse ones as their two parts."""
    prefix = f"{scope.place}, " if scope.place else ""
    if isinstance(scope.owner, GraphProto):
        for tensor in scope.owner.initializer:
            yield f"{prefix}initializer {tensor.name!r}", tensor
        for sparse in scope.owner.sparse_initializer:
            place = f"{prefix}sparse initializer {sparse.values.name!r}"
            yield place, sparse.values
            yield place, sparse.indices
    for number, node in enumerate(scope.nodes):
        for attribute in node.attribute:
            place = f"{scope.at(number, node)}, attribute {attribute.name!r}"
            if attribute.HasField("t"):
                yield place, attribute.t
            for tensor in attribute.tensors:
                yield place, tensor
            for sparse in sparse_of(attribute):
                yield place, sparse.values
                yield place, sparse.indices


def sparse_of(attribute: AttributeProto) -> Iterator[SparseTensorProto]:
    """Yield the sparse tensors in an attribute, whatever it says that its type is."""
    if attribute.HasField("sparse_tensor"):
        yield attribute.sparse_tensor
    yield from attribute.sparse_tensors


def constant_of(name: str, scope: Scope) -> TensorProto | None:
    """Return the constant of this name that a node of the scope would read, if it is one."""
    for seen in (scope, *scope.around):
        if isinstance(seen.owner, GraphProto):
            if any(value.name == name for value in seen.owner.input):
                return None  # an input may be overridden, or is a loop's variable
            for tensor in seen.owner.initializer:
                if tensor.name == name:
                    return tensor
        for node in seen.nodes:
            if name in node.output:
                value = next((a.t for a in node.attribute if a.name == "value"), None)
                return value if node.op_type == "Constant" else None
    return None
