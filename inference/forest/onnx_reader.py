"""Reads ONNX's operators of trees (``ai.onnx.ml`` 1 to 3), as any exporter writes them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from inference.forest.columns import Membership, TreeError
from inference.forest.forest import (
    Forest,
    Leaf,
    Node,
    Split,
    below32,
    build_forest,
    floor32,
    tree_nodes,
)

OPERATORS = ("TreeEnsembleRegressor", "TreeEnsembleClassifier")

_Key = tuple[int, int]
"""What the operator knows a node by: its tree and its number there."""

# Whether the branch of "true" is the left one, which has the smaller values.
_TRUE_IS_LEFT = {"BRANCH_LEQ": True, "BRANCH_LT": True, "BRANCH_GT": False, "BRANCH_GTE": False}


def read_tree_ensemble(node: onnx.NodeProto, width: int) -> Forest:
    """Return the forest of an operator over float32 rows (n, width).

    Its margin is the operator's answer before any ``post_transform``: of a classifier of two
    classes, whose weights exporters write as those of number 0, that of the second one.

    Raises:
        TreeError: the operator has several outputs, is not a sum or an average, or is malformed.
    """
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    try:
        return _read(node.op_type, attributes, width)
    except (KeyError, IndexError, ValueError) as error:
        raise TreeError(
            f"{node.op_type} {node.name or node.output[0]} is malformed: {error!r}"
        ) from error


def _read(operator: str, attributes: Mapping[str, Any], width: int) -> Forest:
    _check_one_output(operator, attributes)
    tree_ids = list(dict.fromkeys(attributes["nodes_treeids"]))
    aggregate = attributes.get("aggregate_function", b"SUM").decode()
    if aggregate not in ("SUM", "AVERAGE"):
        raise TreeError(f"aggregate_function {aggregate} is neither SUM nor AVERAGE")
    share = 1.0 if aggregate == "SUM" else 1 / len(tree_ids)
    weights = _weights("class" if operator == "TreeEnsembleClassifier" else "target", attributes)
    nodes = _nodes(attributes)

    def describe(key: _Key) -> Node:
        node = nodes[key]
        return Leaf(weights.get(key, 0.0) * share) if node is None else node

    splits = [node for node in nodes.values() if node is not None]
    children = {child for split in splits for child in (split.left, split.right)}
    roots = [key for key in nodes if key not in children]
    if [tree for tree, _ in roots] != tree_ids:
        raise TreeError("the nodes are no trees with one root each")
    trees = [tree_nodes(root, describe, len(nodes)) for root in roots]
    return build_forest(width, math.fsum(_numbers(attributes, "base_values")), trees)


def _weights(kind: str, attributes: Mapping[str, Any]) -> dict[_Key, float]:
    """Return what each leaf adds."""
    weights: dict[_Key, float] = {}
    for tree, node, weight in zip(
        attributes[f"{kind}_treeids"],
        attributes[f"{kind}_nodeids"],
        _numbers(attributes, f"{kind}_weights"),
        strict=True,
    ):
        weights[tree, node] = weights.get((tree, node), 0.0) + weight
    return weights


def _nodes(attributes: Mapping[str, Any]) -> dict[_Key, Split | None]:
    """Return the splits by tree and node; None is a leaf."""
    trees = attributes["nodes_treeids"]
    nodes: dict[_Key, Split | None] = {}
    for tree, node, mode, feature, value, missing_goes_true, true, false in zip(
        trees,
        attributes["nodes_nodeids"],
        attributes["nodes_modes"],
        attributes["nodes_featureids"],
        _numbers(attributes, "nodes_values"),
        attributes.get("nodes_missing_value_tracks_true") or [0] * len(trees),
        attributes["nodes_truenodeids"],
        attributes["nodes_falsenodeids"],
        strict=True,
    ):
        branches = ((tree, true), (tree, false))
        nodes[tree, node] = (
            None
            if mode == b"LEAF"
            else _split(mode.decode(), feature, value, bool(missing_goes_true), *branches)
        )
    return nodes


def _check_one_output(operator: str, attributes: Mapping[str, Any]) -> None:
    if operator == "TreeEnsembleRegressor":
        if (outputs := attributes.get("n_targets", 1)) != 1:
            raise TreeError(f"a tree ensemble with {outputs} outputs cannot be read as one forest")
        if (transform := attributes.get("post_transform", b"NONE")) != b"NONE":
            raise TreeError(f"post_transform {transform.decode()} of a regressor is not supported")
        return
    labels = attributes.get("classlabels_int64s") or attributes.get("classlabels_strings") or []
    if len(labels) != 2:
        raise TreeError(f"a tree classifier of {len(labels)} classes is not one of fraud or not")
    if set(attributes["class_ids"]) != {0} or len(_numbers(attributes, "base_values")) > 1:
        raise TreeError("only a tree classifier with one weight for both classes is supported")


def _split(
    mode: str,
    feature: int,
    value: float,
    missing_goes_true: bool,
    true: _Key,
    false: _Key,
) -> Split:
    if mode == "BRANCH_EQ":
        if value < 0 or value != int(value):
            raise TreeError(f"a split on equality with {value}, which is no category")
        members = Membership(feature, exact=True, categories=(int(value),))
        return Split(members, 0.5, not missing_goes_true, left=false, right=true)
    if mode not in _TRUE_IS_LEFT:
        raise TreeError(f"splits of mode {mode} are not supported")
    # x < t and x >= t part the numbers at the one below t, x <= t and x > t at t.
    threshold = below32(value) if mode in ("BRANCH_LT", "BRANCH_GTE") else floor32(value)
    if _TRUE_IS_LEFT[mode]:
        return Split(feature, threshold, missing_goes_true, left=true, right=false)
    return Split(feature, threshold, not missing_goes_true, left=false, right=true)


def _numbers(attributes: Mapping[str, Any], name: str) -> list[float]:
    """Return a list of numbers that is given as doubles or as floats, in Python's doubles."""
    if (tensor := attributes.get(f"{name}_as_tensor")) is not None:
        return [float(number) for number in numpy_helper.to_array(tensor)]
    return [float(np.float32(number)) for number in attributes.get(name, [])]
