"""Shapley values against their definition: every coalition is asked."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from explain.lime.perturbation_design import Groups
from explain.quality.shapley import TreeShapley, sampled_shapley
from inference.forest.compiled_forest import CompiledForest
from inference.forest.graph_forms import margin_given


@pytest.fixture(scope="module")
def forest(package):
    return margin_given(package.model)[1].forest


def by_definition(answer, row, groups, background):
    count = len(groups.names)
    worth = {}
    for size in range(count + 1):
        for chosen in combinations(range(count), size):
            kept = np.isin(groups.of_column, chosen)
            worth[frozenset(chosen)] = answer(np.where(kept, row, background)).mean()
    values = np.zeros(count)
    for group in range(count):
        for coalition, alone in worth.items():
            if group not in coalition:
                share = 1 / (count * comb(count - 1, len(coalition)))
                values[group] += share * (worth[coalition | {group}] - alone)
    return values


GROUPINGS = [{}, {"amounts": ("amount", "amount_7d"), "rest": ("hour", "device_age", "risk_30d")}]


@pytest.mark.parametrize("declared", GROUPINGS, ids=["features", "groups"])
def test_values_of_trees_are_exact(package, forest, data, declared):
    groups = Groups.of(package.features.names, declared)
    answer = CompiledForest(forest)
    background = package.background[:20]
    rows = data.matrix[[0, 5, 17, int(np.argmax(np.isnan(data.matrix).any(axis=1)))]]
    values = TreeShapley(forest, groups, background)(rows)
    for row, found in zip(rows, values, strict=True):
        np.testing.assert_allclose(found, by_definition(answer, row, groups, background), atol=1e-9)


def test_values_add_up_to_what_is_explained(package, forest, data):
    answer, background = CompiledForest(forest), package.background
    groups = Groups.of(package.features.names, {})
    rows = data.matrix[:50]
    values = TreeShapley(forest, groups, background)(rows)
    expected = answer(rows) - answer(background).mean()
    np.testing.assert_allclose(values.sum(axis=1), expected, atol=1e-9)


def test_sampled_values_tend_to_the_exact_ones(package, forest, data):
    groups = Groups.of(package.features.names, {})
    exact = TreeShapley(forest, groups, package.background)(data.matrix[:1])[0]
    rng = np.random.default_rng(1)
    sampled = sampled_shapley(
        CompiledForest(forest),
        data.matrix[0],
        groups=groups,
        background=package.background,
        permutations=3_000,
        rng=rng,
    )
    np.testing.assert_allclose(sampled, exact, atol=0.06)
    assert sampled.sum() == pytest.approx(exact.sum(), abs=0.15)
