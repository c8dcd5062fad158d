"""Reads XGBoost's boosters."""

import json
import math
from typing import Any

import numpy as np

from inference.forest.columns import TreeError
from inference.forest.forest import Forest, Leaf, Node, Split, build_forest, tree_nodes

_NUMERICAL = 0


def read_xgboost(raw: bytes) -> Forest:
    """Return the margin (log-odds) of a booster of ``binary:logistic`` as a forest.

    XGBoost sends a row left where ``x < threshold`` in float32: that is where x is at most the
    number before the threshold. ``NaN`` goes the learned way.

    Args:
        raw: what ``xgboost.Booster.save_raw("json")`` returns.

    Raises:
        TreeError: the booster has another objective, several outputs, categories or no split.
    """
    learner = json.loads(raw)["learner"]
    objective = learner["objective"]["name"]
    shape = learner["learner_model_param"]
    if objective != "binary:logistic" or int(shape["num_target"]) != 1:
        raise TreeError(f"a booster of {objective} is no fraud model: train with binary:logistic")
    mean = float(np.float32(shape["base_score"].strip("[]")))
    trees = [_nodes(tree) for tree in learner["gradient_booster"]["model"]["trees"]]
    if not any(isinstance(nodes[0], Split) for nodes in trees):
        raise TreeError(
            "the fraud model found nothing to split on: train on more events, add features, or "
            "lower training.xgboost.min_child_weight"
        )
    return build_forest(int(shape["num_feature"]), math.log(mean / (1 - mean)), trees)


def _nodes(tree: dict[str, Any]) -> list[Node]:
    if any(kind != _NUMERICAL for kind in tree["split_type"]):
        raise TreeError("XGBoost's splits of categories cannot be packaged")
    lefts, rights = tree["left_children"], tree["right_children"]
    numbers = np.asarray(tree["split_conditions"], np.float32)

    def describe(node: int) -> Node:
        if lefts[node] < 0:
            return Leaf(float(numbers[node]))
        below = float(np.nextafter(numbers[node], np.float32(-np.inf)))
        missing_left = bool(tree["default_left"][node])
        return Split(tree["split_indices"][node], below, missing_left, lefts[node], rights[node])

    return tree_nodes(0, describe, len(lefts))
