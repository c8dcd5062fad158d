"""Orders of nodes by whole levels, against the plain way: one node after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.forest.columns import TreeError
from inference.forest.node_order import preorder


def grown(rng, splits, start):
    """A tree's children by node, grown by splitting leaves, in any order of nodes."""
    left, right, leaves = [-1], [-1], [0]
    for _ in range(splits):
        node = leaves.pop(rng.integers(len(leaves)))
        left[node], right[node] = len(left), len(left) + 1
        leaves += [left[node], right[node]]
        left += [-1, -1]
        right += [-1, -1]
    name = rng.permutation(len(left))
    named = np.full((2, len(left)), -1)
    for side, children in zip(named, np.array([left, right]), strict=True):
        side[name[children >= 0]] = start + name[children[children >= 0]]
    return start + name[0], named


def forest(seed, sizes):
    rng = np.random.default_rng(seed)
    roots, children = [], np.empty((2, 0), np.int64)
    for splits in sizes:
        root, tree = grown(rng, splits, children.shape[1])
        roots.append(root)
        children = np.concatenate([children, tree], axis=1)
    return np.array(roots), children


def node_by_node(roots, left, right):
    """What `preorder` returns, by a stack."""
    nodes, places = [], {}
    for tree, root in enumerate(roots):
        stack = [(root, ("root", tree))]
        while stack:
            node, reached = stack.pop()
            place = len(nodes)
            places[reached] = place
            nodes.append(node)
            if left[node] >= 0:
                stack += [(right[node], ("right", place)), (left[node], ("left", place))]
    lefts, rights = (
        [places.get((side, place), place) for place in range(len(nodes))]
        for side in ("left", "right")
    )
    return nodes, [places["root", tree] for tree in range(len(roots))], lefts, rights


def assert_in_preorder(roots, left, right):
    order = preorder(roots, left, right, left < 0)
    for part, expected in zip(order, node_by_node(roots, left, right), strict=True):
        assert part.tolist() == expected


@given(st.integers(0, 2**31), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_nodes_stand_before_their_children_and_left_ones_first(seed, sizes):
    roots, (left, right) = forest(seed, sizes)
    assert_in_preorder(roots, left, right)


@given(st.integers(0, 2**31), st.integers(4, 20))
def test_nodes_from_where_branches_join_are_copied(seed, splits):
    roots, (left, right) = forest(seed, [splits] * 3)
    splitting = np.flatnonzero(left >= 0)
    joined = next(node for node in splitting if left[left[node]] >= 0)
    left[joined] = right[joined]  # the left branch is lost, but for what leads to it as well
    kept = np.unique(node_by_node(roots, left, right)[0])
    name = np.full(len(left), -1)
    name[kept] = np.arange(len(kept))
    left, right = (np.where(side[kept] < 0, -1, name[side[kept]]) for side in (left, right))
    assert_in_preorder(name[roots], left, right)


def test_a_tree_may_be_as_deep_as_it_has_leaves():
    left = np.array([*range(1, 3_001), -1, *[-1] * 3_000])
    right = np.array([*range(3_001, 6_001), *[-1] * 3_001])
    assert_in_preorder(np.array([0]), left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1, 2, 1, -1], [3, 3, 3, -1]),  # walks come to it
        ([1, -1, -1, 4, 3], [2, -1, -1, 1, 1]),  # none does
    ],
)
def test_circles_are_refused(left, right):
    with pytest.raises(TreeError, match="in a circle"):
        preorder(np.array([0]), np.array(left), np.array(right), np.array(left) < 0)


def test_branches_that_join_too_often_are_refused():
    """Twenty splits whose branches are one: a million copies of the leaf."""
    left = np.array([*range(1, 21), -1])
    with pytest.raises(TreeError, match="join so often that their 21 nodes would be copied"):
        preorder(np.array([0]), left, left, left < 0)
