"""The figures by which explanations are judged: good ones look good, bad ones bad."""

import dataclasses

import numpy as np
import pytest

from explain.lime.lime import Lime
from explain.lime.settings import ExplainSettings
from explain.quality.fidelity import measure

SETTINGS = ExplainSettings(samples=256, top=3)


@pytest.fixture(scope="module")
def rows(package, data):
    lime = Lime(package, SETTINGS)
    return data.matrix[np.argsort(-lime.answer(data.matrix))[:25]]


def test_lime_is_nearly_as_good_as_exact_shapley_values(package, rows):
    shares = []
    found = measure(
        package, SETTINGS, rows, seeds=4, rng=np.random.default_rng(0), progress=shares.append
    )
    assert found.exact
    assert found.events == len(rows)
    assert found.spearman > 0.85
    assert found.jaccard > 0.9
    assert found.vsi == pytest.approx(found.jaccard, abs=0.15)
    assert found.deletion < found.deletion_random - 0.5
    assert found.deletion == pytest.approx(found.deletion_shapley, abs=0.1)
    assert found.insertion > found.insertion_random + 0.5
    assert found.insertion == pytest.approx(found.insertion_shapley, abs=0.1)
    assert shares[-1] == 1.0


def test_a_model_without_trees_is_held_against_sampled_values(package, rows):
    tensors = dataclasses.replace(package, model=package.tensors)
    found = measure(tensors, SETTINGS, rows[:3], seeds=2, rng=np.random.default_rng(0))
    assert not found.exact
    assert found.spearman > 0.7


def test_explanations_of_something_else_are_found_out(package, rows, monkeypatch):
    """Attributions whose order is reversed."""
    honest = Lime.explain

    def reversed_(self, rows):
        return [
            dataclasses.replace(each, attributions=tuple(-value for value in each.attributions))
            for each in honest(self, rows)
        ]

    monkeypatch.setattr(Lime, "explain", reversed_)
    found = measure(package, SETTINGS, rows[:8], seeds=2, rng=np.random.default_rng(0))
    assert found.spearman < 0
    assert found.deletion > found.deletion_random
    assert found.insertion < found.insertion_random
