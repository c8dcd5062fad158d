"""Writes a forest as ONNX's own operator of trees: the form that CPUs are fast with."""

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from inference.forest.columns import ZERO, DerivedColumns, MembershipTable
from inference.forest.forest import Forest
from inference.onnx_nodes import GraphNodes


def add_tree_ensemble(builder: GraphNodes, forest: Forest, source: str, output: str) -> None:
    """Add the margin (n, 1) of the float32 rows (n, k) in `source`, as ``TreeEnsembleRegressor``.

    Rows go in as doubles, so that the operator adds the leaves in double and rounds once (measured:
    3 % slower than float32, whose sums are off by 1e-5 at 300 trees).
    """
    columns = add_derived_columns(builder, forest.derive, source)
    double = builder.add("Cast", [columns], "columns_double", to=TensorProto.DOUBLE)
    builder.add_as(
        output, "TreeEnsembleRegressor", [double], domain="ai.onnx.ml", **_tree_attributes(forest)
    )


def add_derived_columns(builder: GraphNodes, derive: DerivedColumns, source: str) -> str:
    """Add what puts the derived columns beside rows, and return the name of the result."""
    if not derive.count:
        return source
    parts = [source]
    nan = builder.constant("nan", np.nan)
    if derive.zeros:
        index = builder.constant("zero_features", np.array(derive.zeros, np.int64))
        values = builder.add("Gather", [source, index], "zero_values", axis=1)
        size = builder.add("Abs", [values], "zero_sizes")
        bound = builder.constant("zero_bound", ZERO)
        is_zero = builder.add("LessOrEqual", [size, bound], "is_zero")
        parts.append(builder.add("Where", [is_zero, nan, values], "zeros_missing"))
    parts += [
        _add_membership(builder, table, source, nan, f"set{i}")
        for i, table in enumerate(derive.tables)
    ]
    return builder.add("Concat", parts, "columns", axis=1)


def _add_membership(
    builder: GraphNodes, table: MembershipTable, source: str, nan: str, name: str
) -> str:
    """Add `MembershipTable`'s look-up, under names that begin with `name`."""
    # A Gather of one column, not of a scalar: the result is (n, 1), as the NaN needs it.
    feature = builder.constant(f"{name}_feature", np.array([table.feature], np.int64))
    x = builder.add("Gather", [source, feature], f"{name}_value", axis=1)
    last = builder.constant(f"{name}_last", float(len(table.table) - 1))
    zero = builder.constant(f"{name}_zero", 0.0)
    positive = builder.add("GreaterOrEqual", [x, zero], f"{name}_positive")
    below = builder.add("Less", [x, last], f"{name}_below")
    known = builder.add("And", [positive, below], f"{name}_in_range")
    if table.exact:
        whole = builder.add("Floor", [x], f"{name}_floor")
        same = builder.add("Equal", [x, whole], f"{name}_is_whole")
        known = builder.add("And", [known, same], f"{name}_known")
    category = builder.add("Where", [known, x, last], f"{name}_category")
    row = builder.add("Cast", [category], f"{name}_row", to=TensorProto.INT64)
    column = builder.constant(f"{name}_column", np.array([1], np.int64))
    flat = builder.add("Squeeze", [row, column], f"{name}_index")
    values = builder.constant(f"{name}_table", table.table)
    member = builder.add("Gather", [values, flat], f"{name}_member", axis=0)
    missing = builder.add("IsNaN", [x], f"{name}_missing")
    return builder.add("Where", [missing, nan, member], f"{name}_columns")


def _tree_attributes(forest: Forest) -> dict[str, Any]:
    """Return the operator's attributes; a node's id is its place in the tree."""
    leaf = forest.is_leaf
    tree = forest.tree_of()
    place = np.arange(len(tree)) - forest.roots[tree]
    first = forest.roots[tree]
    doubles = {
        "nodes_values_as_tensor": forest.threshold.astype(np.float64),
        "target_weights_as_tensor": forest.value[leaf],
        "base_values_as_tensor": np.array([forest.base]),
    }
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": place.tolist(),
        "nodes_featureids": np.where(leaf, 0, forest.column).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, forest.left - first).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, forest.right - first).tolist(),
        "nodes_missing_value_tracks_true": forest.missing_left.astype(int).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": place[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        **{name: numpy_helper.from_array(values, name) for name, values in doubles.items()},
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }
