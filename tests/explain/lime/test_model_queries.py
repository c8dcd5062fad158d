"""However the model is asked, the answers are its own."""

import dataclasses

import numpy as np
import onnx
import pytest
from boosters import fit_lightgbm, random_rows

from explain.lime.model_queries import GraphSamples, TreeSamples, samples_of
from explain.lime.perturbation_design import draw
from explain.lime.settings import ExplainSettings
from inference.backends.cpu import CpuEngine
from inference.engine.protocol import EngineError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.graph_forms import margin_given
from inference.forest.lightgbm_reader import read_lightgbm


@pytest.fixture(scope="module")
def design(package):
    return draw(package, ExplainSettings(samples=256))


def test_trees_answer_samples_with_the_bits_of_the_engine(package, design, data):
    forest = margin_given(package.model)[1].forest
    samples, answer = TreeSamples(forest, design), CompiledForest(forest)
    rows = np.concatenate([data.matrix[:20], np.full((1, 6), np.nan, np.float32)])
    np.testing.assert_array_equal(samples.own(rows), answer(rows))
    for row in rows:
        np.testing.assert_array_equal(samples.mixed(row), answer(design.mixed(row)))


@pytest.mark.parametrize("seed", range(6))
def test_trees_with_missing_values_and_categories(package, design, seed):
    """Of any shape: splits on categories read columns that are derived from a feature."""
    rng = np.random.default_rng(seed)
    rows, labels = random_rows(rng, 600)
    rows = np.column_stack([rows, rng.normal(size=600)]).astype(np.float32)
    booster = fit_lightgbm(rows, labels, 15, (4,), num_leaves=4 << seed, seed=seed)
    forest = read_lightgbm([booster.dump_model()])
    drawn = rows[rng.integers(len(rows), size=len(design.drawn))]
    design = dataclasses.replace(design, drawn=drawn)
    samples, answer = TreeSamples(forest, design), CompiledForest(forest)
    for row in rows[:30]:
        np.testing.assert_array_equal(samples.mixed(row), answer(design.mixed(row)))


def test_a_graph_without_trees_is_asked_as_a_whole(package, design, data):
    assert isinstance(samples_of(package, design), TreeSamples)
    tensors = dataclasses.replace(package, model=package.tensors)
    whole, trees = samples_of(tensors, design), samples_of(package, design)
    assert isinstance(whole, GraphSamples)
    rows = data.matrix[:5]
    np.testing.assert_allclose(whole.own(rows), trees.own(rows), atol=1e-4)
    for row in rows:
        np.testing.assert_allclose(whole.mixed(row), trees.mixed(row), atol=1e-4)


def test_where_trees_are_asked_no_engine_is_made(package, design, monkeypatch):
    """It would read the trees once more, and compile a route that nobody takes."""
    made = []
    monkeypatch.setattr("explain.lime.model_queries.CpuEngine", lambda given: made.append(given))
    assert isinstance(samples_of(package, design), TreeSamples)
    assert made == []


def test_a_score_that_is_not_the_trees_alone_is_asked_of_the_graph(package, design):
    graph = onnx.load_from_string(package.model)
    calibrated = next(node for node in graph.graph.node if "score" in node.output)
    calibrated.output[0] = "halved_later"
    graph.graph.node.append(
        onnx.helper.make_node("Mul", ["halved_later", "halved_later"], ["score"])
    )
    other = dataclasses.replace(package, model=graph.SerializeToString())
    assert isinstance(samples_of(other, design), GraphSamples)


def test_scores_at_the_ends_have_log_odds_and_no_number_is_refused(package, design, data):
    class Fixed(CpuEngine):
        value = 0.0

        def infer(self, matrix):
            outputs = super().infer(matrix)
            return outputs._replace(score=np.full(len(matrix), self.value, np.float32))

    engine = Fixed(package)
    samples = GraphSamples(engine, design)
    for engine.value, expected in ((0.0, -16.6), (1.0, 16.6)):
        assert samples.own(data.matrix[:2]) == pytest.approx(expected, abs=0.1)
    engine.value = float("nan")
    with pytest.raises(EngineError, match="its score is no number"):
        samples.mixed(data.matrix[0])
