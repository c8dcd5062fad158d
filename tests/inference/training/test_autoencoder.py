from typing import NamedTuple

import numpy as np
import pytest

from inference.engine.onnx_session import load_session, run_session
from inference.forest.forest import Forest, Leaf, Split, build_forest, tree_nodes
from inference.forest.onnx_writer import add_tree_ensemble
from inference.training.autoencoder import fit_autoencoder
from inference.training.calibration import PlattScaling
from inference.training.graph_parts import GraphBuilder
from inference.training.package_graph import build_graph
from inference.training.settings import AutoencoderSettings


class Trees(NamedTuple):
    """A fraud model of these trees."""

    forest: Forest

    def add_to(self, graph: GraphBuilder, source: str, output: str) -> None:
        add_tree_ensemble(graph, self.forest, source, output)


STUMP = build_forest(4, 0.0, [[Split(0, 0.0, True, 1, 2), Leaf(-1.0), Leaf(1.0)]])


def anomaly(model, rows):
    graph = build_graph(Trees(STUMP), PlattScaling(1.0, 0.0), model, {})
    return run_session(load_session(graph, "test"), rows.astype(np.float32)).anomaly


def correlated(rng, n):
    """Rows whose four columns are two hidden ones, seen twice."""
    hidden = rng.normal(size=(n, 2))
    return np.column_stack([hidden, hidden + 0.1 * rng.normal(size=(n, 2))]).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(5)
    settings = AutoencoderSettings(hidden=16, bottleneck=2, epochs=15)
    return fit_autoencoder(correlated(rng, 6_000), correlated(rng, 3_000), settings, rng)


def test_it_sees_what_no_single_column_shows(model):
    """Each value is common; only their combination was never seen."""
    usual, unusual = np.array([[1.0, -1, 1, -1]]), np.array([[1.0, -1, -1, 1]])
    assert anomaly(model, usual)[0] < 0.9
    assert anomaly(model, unusual)[0] > 0.999


def test_anomaly_is_a_quantile_of_legitimate_rows(model):
    values = anomaly(model, correlated(np.random.default_rng(6), 20_000))
    for level in (0.25, 0.5, 0.9, 0.99):
        assert (values <= level).mean() == pytest.approx(level, abs=0.03)


def test_the_graph_computes_the_formula(model):
    rng = np.random.default_rng(7)
    rows = 3 * correlated(rng, 500)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    filled = np.where(np.isnan(rows), model.center, rows).astype(np.float64)
    z = hidden = np.clip((filled - model.center) / model.scale, -model.clip, model.clip)
    for index, (weights, bias) in enumerate(model.layers):
        hidden = hidden @ weights + bias
        if index < len(model.layers) - 1:
            hidden = np.maximum(hidden, 0)
    error = ((z - hidden) ** 2 / model.residual).mean(axis=1)
    expected = np.interp(error, model.knots, model.levels)
    np.testing.assert_allclose(anomaly(model, rows), expected, atol=1e-5)


def test_extremes_beyond_every_legitimate_row_still_differ(model):
    far, farther = anomaly(model, np.array([[2.0, 0, -2, 0], [4.0, 0, -4, 0]]))
    assert 0.999 < far < farther <= 1


def test_the_same_seed_gives_the_same_bits():
    rows = correlated(np.random.default_rng(1), 700)
    settings = AutoencoderSettings(epochs=2, max_rows=300)
    one, two, other = (
        fit_autoencoder(rows[:500], rows[500:], settings, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert one.knots.tobytes() == two.knots.tobytes()
    assert one.layers[0][0].tobytes() == two.layers[0][0].tobytes()
    assert one.knots.tobytes() != other.knots.tobytes()


def test_empty_and_constant_columns_are_harmless():
    rows = correlated(np.random.default_rng(1), 500)
    rows[:, 1] = np.nan
    rows[:, 2] = 4
    rows[0, 3] = np.inf
    model = fit_autoencoder(
        rows[:400], rows[400:], AutoencoderSettings(epochs=2), np.random.default_rng(1)
    )
    assert np.isfinite(model.center).all()
    assert (model.scale > 0).all()
    values = anomaly(model, rows)
    assert np.isfinite(values).all()


def test_probabilities_keep_the_order_of_margins_and_small_ones_their_size():
    """ONNX Runtime's own Sigmoid does neither."""
    margins = np.linspace(-30, 30, 2_001)

    def describe(span):
        low, high = span
        if high - low == 1:
            return Leaf(float(margins[low]))
        middle = (low + high) // 2
        return Split(0, middle - 0.5, True, (low, middle), (middle, high))

    forest = build_forest(4, 0.0, [tree_nodes((0, len(margins)), describe, 2 * len(margins))])
    rows = np.zeros((len(margins), 4), np.float32)
    rows[:, 0] = np.arange(len(margins))
    rng = np.random.default_rng(1)
    training = correlated(rng, 200)
    autoencoder = fit_autoencoder(training, training, AutoencoderSettings(epochs=1), rng)
    graph = build_graph(Trees(forest), PlattScaling(0.5, -1.0), autoencoder, {})
    outputs = run_session(load_session(graph, "test"), rows)
    np.testing.assert_allclose(outputs.score, 1 / (1 + np.exp(-margins)), rtol=2e-6)
    np.testing.assert_allclose(outputs.probability, 1 / (1 + np.exp(1 - 0.5 * margins)), rtol=2e-6)
    for values in (outputs.score, outputs.probability):
        assert (np.diff(values) >= 0).all()
