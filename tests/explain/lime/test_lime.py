"""LIME as a constant operator: right where the truth is known, and honest about itself."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from explain.lime import kernels
from explain.lime.lime import Lime
from explain.lime.settings import ConfidenceSettings, ExplainSettings
from explain.quality.shapley import TreeShapley
from inference.forest.graph_forms import margin_given


@pytest.fixture(scope="module")
def lime(package):
    return Lime(package, ExplainSettings())


@pytest.fixture(scope="module")
def flagged(package, lime, data):
    """The events that the model finds most suspicious."""
    return data.matrix[np.argsort(-lime._samples.own(data.matrix))[:60]]


@pytest.fixture(scope="module")
def shapley(package, lime, flagged):
    forest = margin_given(package.model)[1].forest
    return TreeShapley(forest, lime.design.groups, package.background)(flagged)


def attributions(explanations):
    return np.array([each.attributions for each in explanations])


class Linear:
    """A model whose log-odds are linear in the features: what explains them is known."""

    def __init__(self, design, slopes):
        self.design, self.slopes = design, slopes

    def own(self, rows):
        return np.nan_to_num(rows).astype(np.float64) @ self.slopes

    def mixed(self, row):
        return self.own(self.design.mixed(row))


def test_a_linear_model_is_explained_by_its_slopes(package, data):
    lime = Lime(package, ExplainSettings())
    slopes = np.array([0.01, 0.3, 0.0, -0.1, 0.0, 0.0])
    lime._samples = Linear(lime.design, slopes)
    rows = data.matrix[:20]
    rows_drawn, runs = np.nan_to_num(lime.design.drawn).astype(np.float64), lime.design.runs
    shares = np.add.reduceat(lime.design.weights, np.arange(0, len(rows_drawn), runs))
    mean = shares @ rows_drawn[::runs]
    explanations = lime.explain(rows)
    expected = slopes * (np.nan_to_num(rows) - mean)
    np.testing.assert_allclose(attributions(explanations), expected, atol=5e-3)
    for each in explanations:
        assert each.baseline == pytest.approx(float(mean @ slopes), abs=5e-3)
        assert each.error == pytest.approx(0, abs=1e-6), "nothing is left to chance"


def test_an_event_has_the_same_bits_in_any_company(lime, flagged):
    together = lime.explain(flagged)
    assert [lime.explain(row[None])[0] for row in flagged] == together
    assert lime.explain(flagged[::-1].copy())[::-1] == together
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda row: lime.explain(row[None])[0], flagged)) == together


def test_another_process_would_say_the_same(package, lime, flagged):
    assert Lime(package, ExplainSettings()).explain(flagged[:5]) == lime.explain(flagged[:5])


def test_attributions_are_close_to_exact_shapley_values(lime, flagged, shapley):
    found = attributions(lime.explain(flagged))
    ranks = [spearmanr(one, other)[0] for one, other in zip(found, shapley, strict=True)]
    assert np.median(ranks) >= 0.85


def test_the_standard_error_is_what_seeds_differ_by(package, lime, flagged):
    seeds = [Lime(package, ExplainSettings(seed=seed)).explain(flagged) for seed in range(40)]
    found = np.sqrt(np.array([attributions(each) for each in seeds]).var(axis=0, ddof=1).mean(1))
    said = np.sqrt(np.mean([[each.error**2 for each in one] for one in seeds], axis=0))
    assert np.mean(found) == pytest.approx(np.mean(said), rel=0.25)
    # Of endlessly many seeds it is .6; what 40 of them differ by is known to a ninth.
    assert np.corrcoef(found, said)[0, 1] > 0.4


def test_stability_is_what_seeds_would_agree_on(package, flagged):
    settings = ExplainSettings(top=3, samples=128)
    limes = [Lime(package, settings.model_copy(update={"seed": s})) for s in range(12)]
    over_seeds = [lime.explain(flagged) for lime in limes]
    found, said = [], []
    for event in range(len(flagged)):
        tops = [
            set(np.argsort(-np.abs(explanations[event].attributions))[:3])
            for explanations in over_seeds
        ]
        pairs = [len(a & b) / len(a | b) for a, b in combinations(tops, 2)]
        found.append(np.mean(pairs))
        said.append(np.mean([explanations[event].vsi for explanations in over_seeds]))
    assert np.mean(said) == pytest.approx(np.mean(found), abs=0.08)
    assert np.corrcoef(found, said)[0, 1] > 0.5


def test_stability_by_hand():
    effects = np.array([5.0, -3.0, 1.0, 0.5])
    draws = np.random.default_rng(0).standard_normal((8, 4))
    space = np.empty((8, 4), np.bool_)
    assert kernels.stability(effects, 0.0, draws, 2, space) == (1.0, 1.0)
    vsi, csi = kernels.stability(effects, 3.0, draws, 2, space)
    tops = [frozenset(np.argsort(-np.abs(effects + 3.0 * draw))[:2].tolist()) for draw in draws]
    pairs = [len(a & b) / len(a | b) for a, b in combinations(tops, 2)]
    assert vsi == pytest.approx(np.mean(pairs))
    signs = [
        (effects + 3.0 * draw)[j] * effects[j] >= 0
        for draw, top in zip(draws, tops, strict=True)
        for j in top
    ]
    assert csi == pytest.approx(np.mean(signs))


def test_a_constant_model_has_no_reasons(package, data):
    lime = Lime(package, ExplainSettings())
    lime._samples = Linear(lime.design, np.zeros(6))
    (explanation,) = lime.explain(data.matrix[:1])
    assert explanation.attributions == (0.0,) * 6
    assert explanation.r2 == 1.0


@pytest.mark.parametrize("least", [{"r2": 1.0}, {"ess": 1e6}, {"vsi": 1.0}, {"gap": 1e-6}])
def test_each_threshold_makes_for_low_confidence(package, flagged, least):
    generous = {"r2": 0.0, "ess": 1.0, "vsi": 0.0, "gap": 99.0}
    sure = ExplainSettings(samples=128, confidence=ConfidenceSettings(**generous))
    assert all(each.confident for each in Lime(package, sure).explain(flagged))
    strict = ExplainSettings(samples=128, confidence=ConfidenceSettings(**generous | least))
    assert not all(each.confident for each in Lime(package, strict).explain(flagged))
