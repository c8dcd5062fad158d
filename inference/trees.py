"""Translates LightGBM's boosted trees to one ONNX ``TreeEnsembleRegressor``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import numpy_helper

from inference.errors import InferenceError

DumpedModel = Mapping[str, Any]
"""What ``lightgbm.Booster.dump_model()`` returns."""

_NODE = (
    "treeids",
    "nodeids",
    "featureids",
    "values",
    "modes",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
)
_LEAF = ("treeids", "nodeids", "weights")


class TreeError(InferenceError):
    """A booster that ONNX's tree operator cannot express."""


def tree_attributes(models: Sequence[DumpedModel]) -> dict[str, Any]:
    """Return the operator's attributes for the mean margin (log-odds) of several boosters.

    Bags become one ensemble whose leaves are divided by their number. A row is routed exactly as
    LightGBM routes it, and its margin is the same but for the rounding to float32 at the end:

    * leaves are added in double, for which the operator wants its input in double too (measured:
      3 % slower than float32, whose sums are off by 1e-5 at 300 trees);
    * thresholds are rounded down to float32, so that engines that compare in float32 route alike:
      for a float32 x and a double t, ``x <= t`` exactly when ``x <= floor32(t)``;
    * ``NaN`` goes the learned way where the booster saw missing values (``missing_type`` NaN),
      and counts as 0 where it did not (None), as LightGBM's ``Tree::NumericalDecision`` does.

    Raises:
        TreeError: a booster is no single-output sum of numerical splits, or has no split.
    """
    nodes: dict[str, list[Any]] = {name: [] for name in _NODE}
    leaves: dict[str, list[Any]] = {name: [] for name in _LEAF}
    base = 0.0
    tree_id = 0
    for model in models:
        _check(model)
        for tree in model["tree_info"]:
            root = tree["tree_structure"]
            if "leaf_value" in root:
                base += root["leaf_value"] / len(models)
                continue
            for node_id, (node, left_id, right_id) in enumerate(_preorder(root)):
                leaf = "leaf_value" in node
                missing_goes_left = 0 if leaf else _missing_goes_left(node)
                nodes["treeids"].append(tree_id)
                nodes["nodeids"].append(node_id)
                nodes["modes"].append("LEAF" if leaf else "BRANCH_LEQ")
                nodes["featureids"].append(0 if leaf else node["split_feature"])
                nodes["values"].append(0.0 if leaf else _threshold(node["threshold"]))
                nodes["truenodeids"].append(left_id)
                nodes["falsenodeids"].append(right_id)
                nodes["missing_value_tracks_true"].append(missing_goes_left)
                if leaf:
                    leaves["treeids"].append(tree_id)
                    leaves["nodeids"].append(node_id)
                    leaves["weights"].append(node["leaf_value"] / len(models))
            tree_id += 1
    if tree_id == 0:
        raise TreeError(
            "the fraud model found nothing to split on: train on more events, add features, or "
            "lower training.trees.min_rows_per_leaf"
        )
    doubles = {
        "nodes_values_as_tensor": nodes.pop("values"),
        "target_weights_as_tensor": leaves.pop("weights"),
        "base_values_as_tensor": [base],
    }
    return {
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
        **{
            name: numpy_helper.from_array(np.array(values, dtype=np.float64), name)
            for name, values in doubles.items()
        },
        "target_ids": [0] * len(leaves["nodeids"]),
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }


def floor32(value: float) -> float:
    """Return the largest float32 that is not above a double.

    >>> floor32(0.1) <= 0.1, floor32(0.5)
    (True, 0.5)
    """
    with np.errstate(over="ignore"):  # beyond float32 is inf, and its neighbour the largest
        rounded = np.float32(value)
    if float(rounded) > value:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def _threshold(dumped: float) -> float:
    """Return a threshold in float32; a dump, being JSON, writes 1e300 for infinity."""
    return floor32(dumped) if abs(dumped) < 1e300 else float(np.copysign(np.inf, dumped))


def _check(model: DumpedModel) -> None:
    if model["num_tree_per_iteration"] != 1 or model["average_output"]:
        raise TreeError("only a booster with one output that is a sum of its trees can be packaged")


def _missing_goes_left(node: Mapping[str, Any]) -> int:
    if node["decision_type"] != "<=":
        raise TreeError("categorical splits cannot be packaged: encode the feature as numbers")
    if node["missing_type"] == "NaN":
        return int(node["default_left"])
    if node["missing_type"] == "None":
        return int(node["threshold"] >= 0)
    # "Zero" sends zeros another way than their value, which one comparison cannot say.
    raise TreeError("a booster trained with zero_as_missing cannot be packaged: set it to false")


def _preorder(root: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int, int]]:
    """Yield (node, id of its left child, id of its right child); the n-th node has the id n."""
    order: list[Mapping[str, Any]] = []
    stack = [(root, -1)]
    right_of: dict[int, int] = {}
    while stack:  # not recursion: a tree grown leaf by leaf may be as deep as it has leaves
        node, parent = stack.pop()
        node_id = len(order)
        order.append(node)
        if parent >= 0:
            right_of[parent] = node_id
        if "leaf_value" not in node:
            stack.append((node["right_child"], node_id))
            stack.append((node["left_child"], -1))
    for node_id, node in enumerate(order):
        leaf = "leaf_value" in node
        yield node, 0 if leaf else node_id + 1, 0 if leaf else right_of[node_id]
