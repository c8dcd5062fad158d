"""Tree ensembles whose walks end: in a circle, one event would hold up all, for ever."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.importing.static.walking import scopes

_DAMAGED = "The trees are damaged: export the model again"


def check_ensembles(model: ModelProto, limits: Limits) -> None:
    """Check that every tree of every ensemble has its nodes, and that no walk comes back.

    Raises:
        ImportRefusedError: a branch leads to a node that is not there, or in a circle.
    """
    for scope in scopes(model, limits.nesting):
        for number, node in enumerate(scope.nodes):
            if node.op_type in ("TreeEnsembleClassifier", "TreeEnsembleRegressor"):
                _check(scope.at(number, node), *_by_ids(scope.at(number, node), node))
            elif node.op_type == "TreeEnsemble":
                _check(scope.at(number, node), *_by_places(scope.at(number, node), node))


def _check(place: str, children: NDArray[np.int64], starts: NDArray[np.int64], nodes: int) -> None:
    """Refuse branches to nowhere, and circles.

    Args:
        children: positions of the two children, (nodes, 2); -1 where a walk ends.
        starts: positions of the roots.
    """
    if len(children) and (children.max(initial=-1) >= nodes or children.min(initial=0) < -1):
        raise ImportRefusedError(place, "a branch leads to a node that is not there", _DAMAGED)
    # Kahn's order: a node is settled once all branches to it are; a circle never is.
    live = children[children >= 0]
    waiting = np.bincount(live, minlength=nodes)
    frontier = np.flatnonzero(waiting == 0)
    settled = len(frontier)
    while len(frontier):
        reached = children[frontier].reshape(-1)
        reached = reached[reached >= 0]
        np.subtract.at(waiting, reached, 1)
        reached = np.unique(reached)
        frontier = reached[waiting[reached] == 0]
        settled += len(frontier)
    if settled < nodes:
        raise ImportRefusedError(place, "its branches lead in a circle", _DAMAGED)
    if len(starts) and not (starts.min() >= 0 and starts.max() < nodes):
        raise ImportRefusedError(place, "a tree begins at a node that is not there", _DAMAGED)


def _attributes(place: str, node: NodeProto, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return attributes as arrays of one length; tensors as their values."""
    found = {a.name: a for a in node.attribute}
    arrays = {}
    for name in names:
        if name not in found:
            raise ImportRefusedError(place, f"it has no attribute {name}", _DAMAGED)
        arrays[name] = np.asarray(helper.get_attribute_value(found[name]))
        if arrays[name].ndim != 1:
            raise ImportRefusedError(place, f"its attribute {name} is no list", _DAMAGED)
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise ImportRefusedError(place, f"its attributes differ in length: {lengths}", _DAMAGED)
    return arrays


def _by_ids(place: str, node: NodeProto) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Children of the older operators, whose branches name (tree, node)."""
    names = ("treeids", "nodeids", "truenodeids", "falsenodeids", "modes", "featureids")
    found = _attributes(place, node, tuple(f"nodes_{name}" for name in names))
    trees, ids, true, false, modes, features = found.values()
    own = _codes(trees, ids)
    order = np.argsort(own, kind="stable")
    ranked = own[order]
    if (ranked[1:] == ranked[:-1]).any():
        raise ImportRefusedError(place, "two nodes of a tree have the same id", _DAMAGED)
    branch = modes != b"LEAF"
    _check_features(place, features[branch])
    children = np.full((len(ids), 2), -1, np.int64)
    for column, wanted in enumerate((true, false)):
        codes = _codes(trees[branch], wanted[branch])
        at = np.minimum(np.searchsorted(ranked, codes), len(ranked) - 1)
        if len(codes) and (ranked[at] != codes).any():
            raise ImportRefusedError(place, "a branch leads to a node that is not there", _DAMAGED)
        children[branch, column] = order[at] if len(codes) else -1
    return children, np.empty(0, np.int64), len(ids)


def _check_features(place: str, features: NDArray[Any]) -> None:
    """Refuse columns before the first; those beyond the last the golden batch finds."""
    if len(features) and features.min() < 0:
        raise ImportRefusedError(place, "a branch reads a column before the first", _DAMAGED)


def _codes(trees: NDArray[Any], ids: NDArray[Any]) -> NDArray[Any]:
    """Return one sortable value for each (tree, node)."""
    pairs = np.empty(len(trees), dtype=[("tree", np.int64), ("node", np.int64)])
    pairs["tree"], pairs["node"] = trees, ids
    return pairs


def _by_places(place: str, node: NodeProto) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Children of ``TreeEnsemble``, whose branches name positions among the nodes or the leaves."""
    names = ("truenodeids", "falsenodeids", "trueleafs", "falseleafs", "featureids")
    found = _attributes(place, node, tuple(f"nodes_{name}" for name in names))
    true, false, true_leaf, false_leaf, features = found.values()
    _check_features(place, features)
    children = np.column_stack(
        [np.where(true_leaf != 0, -1, true), np.where(false_leaf != 0, -1, false)]
    ).astype(np.int64)
    if min(true.min(initial=0), false.min(initial=0)) < 0:
        raise ImportRefusedError(place, "a branch leads to a node that is not there", _DAMAGED)
    roots = _attributes(place, node, ("tree_roots",))["tree_roots"]
    return children, roots.astype(np.int64), len(true)
