"""Reads LightGBM's boosters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inference.forest.columns import Membership, TreeError, ZeroIsMissing
from inference.forest.forest import Forest, Leaf, Node, Split, build_forest, tree_nodes

DumpedModel = Mapping[str, Any]
"""What ``lightgbm.Booster.dump_model()`` returns."""


def read_lightgbm(models: Sequence[DumpedModel]) -> Forest:
    """Return the mean margin (log-odds) of several boosters of the same features as one forest.

    Rows are routed as LightGBM's ``Tree::NumericalDecision`` and ``CategoricalDecision`` do it:

    * ``NaN`` goes the learned way where the booster saw missing values (``missing_type`` NaN),
      and counts as 0 where it did not (None); with ``zero_as_missing`` zeros go with it;
    * of a categorical split the listed categories go left, and all else, ``NaN`` too, right.

    Raises:
        TreeError: a booster has several outputs or linear models in its leaves, or no split.
    """
    trees: list[list[Node]] = []
    for model in models:
        if model["num_tree_per_iteration"] != 1:
            raise TreeError("a booster with several outputs cannot be packaged: train one of fraud")
        share = len(models) * (len(model["tree_info"]) if model["average_output"] else 1)
        for tree in model["tree_info"]:
            root = tree["tree_structure"]
            trees.append(
                tree_nodes(root, lambda n, share=share: _describe(n, share), 2 * tree["num_leaves"])  # type: ignore[misc]
            )
    if not any(isinstance(nodes[0], Split) for nodes in trees):
        raise TreeError(
            "the fraud model found nothing to split on: train on more events, add features, or "
            "lower training.trees.min_rows_per_leaf"
        )
    return build_forest(int(models[0]["max_feature_idx"]) + 1, 0.0, trees)


def _describe(node: Mapping[str, Any], share: int) -> Node:
    if "leaf_const" in node:
        raise TreeError("linear models in leaves cannot be packaged: set linear_tree to false")
    if "leaf_value" in node:
        return Leaf(node["leaf_value"] / share)
    feature, left, right = node["split_feature"], node["left_child"], node["right_child"]
    if node["decision_type"] == "==":
        categories = tuple(sorted(int(category) for category in node["threshold"].split("||")))
        members = Membership(feature, exact=False, categories=categories)
        # Members are 1: they go left because the branches are exchanged.
        return Split(members, 0.5, True, left=right, right=left)
    threshold = _threshold(node["threshold"])
    if node["missing_type"] == "Zero":
        return Split(ZeroIsMissing(feature), threshold, node["default_left"], left, right)
    if node["missing_type"] == "None":
        return Split(feature, threshold, threshold >= 0, left, right)
    return Split(feature, threshold, node["default_left"], left, right)


def _threshold(dumped: float) -> float:
    """Return a threshold; a dump, being JSON, writes 1e300 for infinity."""
    return dumped if abs(dumped) < 1e300 else math.copysign(math.inf, dumped)
