"""Reads XGBoost's boosters."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inference.forest.columns import Membership, TreeError
from inference.forest.forest import Forest, Leaf, Node, Split, below32, build_forest, tree_nodes

SavedModel = Mapping[str, Any]
"""What ``json.loads(xgboost.Booster.save_raw("json"))`` returns."""

_LOGISTIC = {"binary:logistic", "reg:logistic"}
_IDENTITY = {"binary:logitraw", "reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"}


def read_xgboost(models: Sequence[SavedModel]) -> Forest:
    """Return the mean margin of several boosters of the same features as one forest.

    ``NaN`` goes the learned way; a categorical split sends the listed categories to the right, and
    all others, unknown ones among them, to the left (XGBoost's ``common::Decision``). XGBoost
    itself adds its leaves in float32; here they are added in float64.

    Raises:
        TreeError: a booster has no trees or several outputs, or its objective is another than
            a logistic or plain one.
    """
    trees: list[list[Node]] = []
    base = 0.0
    for model in models:
        learner = model["learner"]
        parameters = learner["learner_model_param"]
        outputs = max(int(parameters["num_class"]), int(parameters.get("num_target", 1)))
        if outputs > 1:
            raise TreeError(
                f"a booster with {outputs} outputs cannot be packaged: train one of fraud"
            )
        base += _base_margin(learner["objective"]["name"], parameters["base_score"]) / len(models)
        booster = learner["gradient_booster"]
        if booster["name"] not in ("gbtree", "dart"):
            raise TreeError(f"booster {booster['name']} has no trees: use gbtree")
        weights = booster.get("weight_drop")
        for index, tree in enumerate(booster.get("gbtree", booster)["model"]["trees"]):
            share = (weights[index] if weights else 1.0) / len(models)
            trees.append(_tree(tree, share))
    return build_forest(
        int(models[0]["learner"]["learner_model_param"]["num_feature"]), base, trees
    )


def _base_margin(objective: str, base_score: str) -> float:
    """Return the margin of no trees; it is saved as what the objective makes of it."""
    scores = np.atleast_1d(json.loads(base_score.lower()))
    if len(scores) != 1:
        raise TreeError(f"a booster with {len(scores)} base scores cannot be packaged")
    score = float(scores[0])
    if objective in _LOGISTIC:
        return math.log(score / (1 - score))
    if objective in _IDENTITY:
        return score
    known = ", ".join(sorted(_LOGISTIC | _IDENTITY))
    raise TreeError(f"objective {objective} cannot be packaged: its margin is none of {known}")


def _tree(tree: Mapping[str, Any], share: float) -> list[Node]:
    starts, sizes = tree["categories_segments"], tree["categories_sizes"]
    categories = {
        node: tuple(sorted(tree["categories"][start : start + size]))
        for node, start, size in zip(tree["categories_nodes"], starts, sizes, strict=True)
    }
    conditions = np.array(tree["split_conditions"], np.float32)
    values, thresholds = conditions.tolist(), below32(conditions).tolist()

    def describe(node: int) -> Node:
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left == -1:
            return Leaf(values[node] * share)
        feature = tree["split_indices"][node]
        missing_left = bool(tree["default_left"][node])
        if node in categories:
            members = Membership(feature, exact=False, categories=categories[node])
            return Split(members, 0.5, missing_left, left, right)
        return Split(feature, thresholds[node], missing_left, left, right)

    return tree_nodes(0, describe, len(tree["left_children"]))
