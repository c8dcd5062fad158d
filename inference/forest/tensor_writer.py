"""Writes a forest as tensor operators: the form for engines that have no operator of trees.

Two shapes, for GPUs both:

* *leaf counting*: all splits of all trees are decided at once, and a product with a constant matrix
  counts, for each leaf, how many decisions on its way were as it needs them (Nakandala et al., "A
  Tensor Compiler for Unified Machine Learning Prediction Serving", OSDI 2020, strategy GEMM). Few
  and large operations; the work of a tree grows with the square of its leaves.
* *walking*: all trees take one step per level, by look-ups. The work grows with the depth.

Decisions are comparisons of float32, and the counts are small whole numbers that any precision
holds, so reduced precision of products does not touch the answer.
"""

import math

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from inference.forest.columns import TreeError
from inference.forest.comparisons import HIGH, MARK, Comparisons
from inference.forest.forest import Forest
from inference.forest.onnx_writer import add_derived_columns
from inference.onnx_nodes import GraphNodes

_COUNTING_WORK = 1 << 20
"""Multiplications a row beyond which walking takes less, and less memory."""

_DEEPEST = 64
"""Levels that are walked at most: each adds a dozen operators to the graph."""


def add_tensors(builder: GraphNodes, forest: Forest, source: str, output: str) -> None:
    """Add the margin (n, 1) of the float32 rows (n, k) in `source`, by tensor operators alone.

    Raises:
        TreeError: the trees are too deep.
    """
    if forest.depth > _DEEPEST:
        raise TreeError(
            f"trees of {forest.depth} levels are too deep for tensor operators, which take up to "
            f"{_DEEPEST}: set training.trees.max_depth"
        )
    columns = add_derived_columns(builder, forest.derive, source)
    comparisons = Comparisons(forest)
    rows = _add_compared_rows(builder, comparisons, columns)
    counting = _LeafCounting(forest)
    if counting.work <= _COUNTING_WORK:
        total = counting.add(builder, comparisons, rows)
    else:
        total = _add_walk(builder, forest, comparisons, rows)
    builder.add_as(output, "Add", [total, builder.constant("base", forest.base)])


def _add_compared_rows(builder: GraphNodes, comparisons: Comparisons, columns: str) -> str:
    """Add what makes the rows that are compared, and return their name."""
    missing = builder.add("IsNaN", [columns], "missing")
    blocks = []
    for kind in comparisons.kinds:
        if kind == MARK:
            blocks.append(builder.add("Cast", [missing], "is_missing", to=TensorProto.FLOAT))
            continue
        name, value = ("missing_high", np.inf) if kind == HIGH else ("missing_low", -np.inf)
        constant = builder.constant(f"{name}_value", value)
        blocks.append(builder.add("Where", [missing, constant, columns], name))
    return builder.add("Concat", blocks, "compared", axis=1) if len(blocks) != 1 else blocks[0]


def _normal(threshold: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return thresholds (m,) without subnormal numbers, rounded down.

    Processors that take a subnormal number for zero compare so too, and 0 goes the right way.
    """
    smallest = np.finfo(np.float32).smallest_normal
    subnormal = (np.abs(threshold) < smallest) & (threshold != 0)
    return np.where(subnormal, np.where(threshold < 0, -smallest, np.float32(0)), threshold)


class _LeafCounting:
    """The shape for small trees; all trees are filled up to the largest one's numbers of nodes."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        tree = forest.tree_of()
        # As many again as make a rectangle: float32 sums of its sides are more exact than one long.
        self._side = math.isqrt(len(forest.roots) - 1) + 1
        trees = self._trees = -(-len(forest.roots) // self._side) * self._side
        self._split, self._leaf = (
            forest.rank_in_tree(m) for m in (~forest.is_leaf, forest.is_leaf)
        )
        self._tree = tree
        self._leaves = int(forest.leaves.max())
        self._splits = max(1, self._leaves - 1)
        self.work = trees * self._splits * self._leaves

    def add(self, builder: GraphNodes, comparisons: Comparisons, rows: str) -> str:
        """Add the sum of leaves (n, 1); arrays are (tree, split or leaf, row) within."""
        forest, tree, split, leaf = self._forest, self._tree, self._split, self._leaf
        inner = ~forest.is_leaf
        column = np.zeros((self._trees, self._splits), np.int64)
        threshold = np.full((self._trees, self._splits, 1), np.inf, np.float32)
        value = np.zeros((self._trees, self._leaves, 1), np.float32)
        column[tree[inner], split[inner]] = comparisons.column[inner]
        threshold[tree[inner], split[inner], 0] = _normal(comparisons.threshold[inner])
        value[tree[forest.is_leaf], leaf[forest.is_leaf], 0] = forest.value[forest.is_leaf]
        ways, needed = self._ways()
        shape = builder.constant("decided_shape", [self._trees, self._splits, -1])
        columns = builder.add("Transpose", [rows], "by_column", perm=[1, 0])
        index = builder.constant("split_columns", column.ravel())
        flat = builder.add("Gather", [columns, index], "split_values", axis=0)
        values = builder.add("Reshape", [flat, shape], "by_split")
        bounds = builder.constant("split_thresholds", threshold)
        right = builder.add("Greater", [values, bounds], "goes_right")
        decided = builder.add("Cast", [right], "decided", to=TensorProto.FLOAT)
        counts = builder.add("MatMul", [builder.constant("ways", ways), decided], "counts")
        # Half a count below, so that no rounding matters.
        enough = builder.constant("needed", needed[:, :, None] - 0.5)
        reached = builder.add("Greater", [counts, enough], "reached")
        leaves = builder.constant("leaf_values", value)
        chosen = builder.add("Where", [reached, leaves, builder.constant("none", 0.0)], "chosen")
        second, first = builder.constant("second", [1]), builder.constant("first", [0])
        of_trees = builder.add("ReduceSum", [chosen, second], "tree_sums", keepdims=0)
        square = builder.constant("square_shape", [self._trees // self._side, self._side, -1])
        by_side = builder.add("Reshape", [of_trees, square], "square")
        of_sides = builder.add("ReduceSum", [by_side, second], "side_sums", keepdims=0)
        total = builder.add("ReduceSum", [of_sides, first], "sum", keepdims=0)
        return builder.add("Unsqueeze", [total, second], "total")

    def _ways(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what each leaf counts (t, leaves, splits), and what it needs (t, leaves).

        A turn to the right counts 1 where its way turns right, and -1 where its way turns left; so
        only its own way reaches the number of its turns to the right.
        """
        forest = self._forest
        ways = np.zeros((self._trees, self._leaves, self._splits), np.float32)
        needed = np.full((self._trees, self._leaves), np.inf, np.float32)  # of places filled up
        for tree, root in enumerate(forest.roots.tolist()):
            stack: list[tuple[int, list[tuple[int, int]]]] = [(root, [])]
            while stack:
                node, way = stack.pop()
                if forest.is_leaf[node]:
                    for split, turn in way:
                        ways[tree, self._leaf[node], split] = turn
                    needed[tree, self._leaf[node]] = sum(turn > 0 for _, turn in way)
                else:
                    split = int(self._split[node])
                    stack.append((int(forest.left[node]), [*way, (split, -1)]))
                    stack.append((int(forest.right[node]), [*way, (split, 1)]))
        return ways, needed


def _add_walk(builder: GraphNodes, forest: Forest, comparisons: Comparisons, rows: str) -> str:
    """Add the sum of leaves (n, 1); the places that a row has reached are (row, tree)."""
    order = np.concatenate(forest.levels())  # siblings side by side: right is left + 1
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    left = place[forest.left[order]].astype(np.int32)
    column = comparisons.column[order].astype(np.int32)
    threshold, trees = _normal(comparisons.threshold[order]), len(forest.roots)
    tables = [
        builder.constant("node_columns", column),
        builder.constant("node_thresholds", threshold),
        builder.constant("node_lefts", left),
    ]
    compared = builder.add(
        "Gather", [rows, builder.constant("root_columns", column[:trees])], "x0", axis=1
    )
    bounds = builder.constant("root_thresholds", threshold[:trees])
    lefts = builder.constant("root_lefts", left[:trees])
    for level in range(1, max(2, forest.depth + 1)):
        right = builder.add("Greater", [compared, bounds], f"goes_right{level}")
        step = builder.add("Cast", [right], f"step{level}", to=TensorProto.INT32)
        node = builder.add("Add", [lefts, step], f"node{level}")
        if level < forest.depth:
            columns, bounds, lefts = (
                builder.add("Gather", [table, node], f"{name}{level}", axis=0)
                for table, name in zip(tables, ("column", "threshold", "left"), strict=True)
            )
            compared = builder.add("GatherElements", [rows, columns], f"x{level}", axis=1)
    values = builder.constant("node_values", forest.value[order])
    leaves = builder.add("Gather", [values, node], "leaves", axis=0)
    return builder.add("ReduceSum", [leaves, builder.constant("trees", [1])], "total", keepdims=1)
