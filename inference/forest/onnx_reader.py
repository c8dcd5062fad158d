"""Reads ONNX's operators of trees (``ai.onnx.ml`` 1 to 3), as any exporter writes them.

In columns, without a Python object per node: a model is made ready beside a scorer at work, which
waits while Python objects are made, and once more while they are collected.
"""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from inference.forest.columns import Membership, TreeError
from inference.forest.forest import LEAF, Forest, below32, check_features, floor32
from inference.forest.node_order import preorder
from inference.forest.operator_attributes import TreeAttributes

OPERATORS = ("TreeEnsembleRegressor", "TreeEnsembleClassifier")

_LEAF, _LEQ, _LT, _GT, _GTE, _EQ = range(6)
_MODES = {
    b"LEAF": _LEAF,
    b"BRANCH_LEQ": _LEQ,
    b"BRANCH_LT": _LT,
    b"BRANCH_GT": _GT,
    b"BRANCH_GTE": _GTE,
    b"BRANCH_EQ": _EQ,
}


def read_tree_ensemble(node: onnx.NodeProto, width: int) -> Forest:
    """Return the forest of an operator over float32 rows (n, width).

    Its margin is the operator's answer before any ``post_transform``: of a classifier of two
    classes, whose weights exporters write as those of number 0, that of the second one.

    Raises:
        TreeError: the operator has several outputs, is not a sum or an average, or is malformed.
    """
    try:
        return _read(node.op_type, TreeAttributes(node), width)
    except ValueError as error:
        name = node.name or node.output[0]
        raise TreeError(f"{node.op_type} {name} is malformed: {error}") from error


class _NodeIndex:
    """Finds nodes by their tree and their number there."""

    def __init__(self, trees: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        keys = _keys(trees, numbers)
        self._order = np.argsort(keys, kind="stable")  # often they are in order already
        self._keys = keys[self._order]
        if (twice := np.flatnonzero(self._keys[1:] == self._keys[:-1])).size:
            node = self._order[twice[0]]
            raise ValueError(f"tree {trees[node]} has two nodes {numbers[node]}")

    def places(self, trees: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where nodes stand in the operator's lists, -1 for those that are not there."""
        keys = _keys(trees, numbers)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._order[at], -1)


def _keys(trees: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    for ids in (trees, numbers):
        if (large := ids[ids != ids.astype(np.int32)]).size:
            raise ValueError(f"{large[0]} is no number of a tree or node: it has more than 32 bits")
    return (trees << 32) + numbers


def _read(operator: str, attributes: TreeAttributes, width: int) -> Forest:
    _check_one_output(operator, attributes)
    aggregate = attributes.text("aggregate_function", "SUM")
    if aggregate not in ("SUM", "AVERAGE"):
        raise TreeError(f"aggregate_function {aggregate} is neither SUM nor AVERAGE")

    trees = attributes.integers("nodes_treeids")
    count = len(trees)
    mode = _modes(attributes.strings("nodes_modes"), count)
    split = mode != _LEAF
    feature = attributes.integers("nodes_featureids", count)
    check_features(feature[split], width)
    values = attributes.doubles("nodes_values", count)
    column, derived = _columns(mode, feature, values, width)
    nodes = _NodeIndex(trees, attributes.integers("nodes_nodeids", count))
    true_is_left = (mode == _LEQ) | (mode == _LT)
    true, false = (
        _children(nodes, split, trees, attributes.integers(f"nodes_{branch}nodeids", count))
        for branch in ("true", "false")
    )
    order = preorder(
        _roots(trees, np.concatenate([true[split], false[split]])),
        np.where(true_is_left, true, false),
        np.where(true_is_left, false, true),
        ~split,
    )

    missing_goes_true = attributes.flags("nodes_missing_value_tracks_true", count)
    share = 1.0 if aggregate == "SUM" else 1 / len(order.roots)
    kind = "class" if operator == "TreeEnsembleClassifier" else "target"
    value = _leaf_values(nodes, count, kind, attributes) * share
    return Forest(
        width=width,
        derived=derived,
        base=math.fsum(attributes.doubles("base_values")),
        roots=order.roots.astype(np.int32),
        column=column[order.node],
        threshold=_thresholds(mode, values)[order.node],
        missing_left=(split & (missing_goes_true == true_is_left))[order.node],
        left=order.left.astype(np.int32),
        right=order.right.astype(np.int32),
        value=np.where(split, 0.0, value)[order.node],
    )


def _check_one_output(operator: str, attributes: TreeAttributes) -> None:
    if operator == "TreeEnsembleRegressor":
        if (outputs := attributes.integer("n_targets", 1)) != 1:
            raise TreeError(f"a tree ensemble with {outputs} outputs cannot be read as one forest")
        if (transform := attributes.text("post_transform", "NONE")) != "NONE":
            raise TreeError(f"post_transform {transform} of a regressor is not supported")
        return
    labels = attributes.count("classlabels_int64s") or attributes.count("classlabels_strings")
    if labels != 2:
        raise TreeError(f"a tree classifier of {labels} classes is not one of fraud or not")
    classes = attributes.integers("class_ids")
    if not classes.size or classes.any() or len(attributes.doubles("base_values")) > 1:
        raise TreeError("only a tree classifier with one weight for both classes is supported")


def _modes(given: Sequence[bytes], count: int) -> NDArray[np.int8]:
    """Return what each node (m,) does, as numbered in `_MODES`."""
    if len(given) != count:
        raise ValueError(f"nodes_modes has {len(given)} entries, not {count}")
    try:
        return np.fromiter(map(_MODES.__getitem__, given), np.int8, count)
    except KeyError as error:
        mode = error.args[0].decode(errors="replace")
        raise TreeError(f"splits of mode {mode} are not supported") from None


def _columns(
    mode: NDArray[np.int8], feature: NDArray[np.int64], value: NDArray[np.float64], width: int
) -> tuple[NDArray[np.int32], tuple[Membership, ...]]:
    """Return what each node compares, and the derived columns among that.

    A split on equality with a number is one on being in the set of this category alone.
    """
    column = np.where(mode == _LEAF, LEAF, feature).astype(np.int32)
    equal = np.flatnonzero(mode == _EQ)
    wanted = value[equal]
    if (others := wanted[~((wanted >= 0) & (wanted < np.inf) & (wanted == np.trunc(wanted)))]).size:
        raise TreeError(f"a split on equality with {others[0]}, which is no category")
    categories, category = np.unique(wanted, return_inverse=True)
    # In the order of derived columns: by feature, then by category.
    sets, number = np.unique(feature[equal] * len(categories) + category, return_inverse=True)
    column[equal] = width + number
    return column, tuple(
        Membership(int(s // len(categories)), True, (int(categories[s % len(categories)]),))
        for s in sets
    )


def _thresholds(mode: NDArray[np.int8], value: NDArray[np.float64]) -> NDArray[np.float32]:
    # x < t and x >= t part the numbers at the one below t, x <= t and x > t at t.
    is_strict = (mode == _LT) | (mode == _GTE)
    threshold = np.where(is_strict, below32(value), floor32(value))
    threshold[mode == _EQ] = 0.5
    threshold[mode == _LEAF] = 0
    return threshold


def _children(
    nodes: _NodeIndex,
    split: NDArray[np.bool_],
    trees: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the nodes (m,) that one branch of each split leads to, -1 for leaves."""
    child = np.full(len(split), -1)
    child[split] = nodes.places(trees[split], numbers[split])
    if (nowhere := np.flatnonzero(split & (child < 0))).size:
        tree, number = trees[nowhere[0]], numbers[nowhere[0]]
        raise ValueError(f"a branch leads to node {number} of tree {tree}, which has none")
    return child


def _roots(trees: NDArray[np.int64], children: NDArray[np.int64]) -> NDArray[np.int64]:
    is_root = np.ones(len(trees), np.bool_)
    is_root[children] = False
    roots = np.flatnonzero(is_root)
    _, first_nodes = np.unique(trees, return_index=True)
    if not np.array_equal(trees[roots], trees[np.sort(first_nodes)]):
        raise TreeError("the nodes are no trees with one root each")
    return roots


def _leaf_values(
    nodes: _NodeIndex, count: int, kind: str, attributes: TreeAttributes
) -> NDArray[np.float64]:
    """Return the sums of the weights (m,) of nodes, in the order in which they are given."""
    trees = attributes.integers(f"{kind}_treeids")
    numbers = attributes.integers(f"{kind}_nodeids", len(trees))
    weights = attributes.doubles(f"{kind}_weights", len(trees))
    place = nodes.places(trees, numbers)
    sums = np.zeros(count)
    np.add.at(sums, place[place >= 0], weights[place >= 0])
    return sums
