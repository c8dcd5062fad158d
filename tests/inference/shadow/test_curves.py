import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from inference.shadow.statistics.curves import Curve, auc, average_precision, difference

CURVES = {auc: roc_auc_score, average_precision: average_precision_score}
ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8), st.integers(1, 3)), min_size=2, max_size=40
).filter(lambda rows: len({label for label, _, _ in rows}) == 2)


def columns(rows: list[tuple[bool, int, int]]) -> tuple[NDArray[np.float64], ...]:
    labels, scores, weights = np.array(rows, np.float64).T
    return labels, scores, weights


@pytest.mark.parametrize("curve", CURVES)
@given(rows=ROWS)
def test_figures_are_those_of_scikit_learn_with_ties_and_weights(curve, rows) -> None:
    labels, scores, weights = columns(rows)
    expected = CURVES[curve](labels, scores, sample_weight=weights)
    assert curve(labels, scores, weights).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("curve", CURVES)
@given(rows=ROWS)
def test_the_influence_is_the_derivative_by_an_events_weight(curve, rows) -> None:
    """n d/dw of the figure, as the difference between a little more and less of each event."""
    labels, scores, weights = columns(rows)
    found = curve(labels, scores, weights)
    assert weights @ found.influence == pytest.approx(0, abs=1e-9)
    for place in range(len(labels)):
        step = np.zeros(len(labels))
        step[place] = 1e-5
        up, down = (curve(labels, scores, weights + sign * step).value for sign in (1, -1))
        slope = (up - down) / 2e-5 * weights.sum()
        assert found.influence[place] == pytest.approx(slope, rel=1e-5, abs=1e-5)


@given(rows=ROWS)
def test_auc_components_are_those_of_delong_by_pairs(rows) -> None:
    labels, scores, _ = columns(rows)
    frauds, others = scores[labels == 1], scores[labels == 0]
    wins = (frauds[:, None] > others) + 0.5 * (frauds[:, None] == others)
    found = auc(labels, scores)
    share = len(frauds) / len(scores)
    np.testing.assert_allclose(
        found.influence[labels == 1] * share + found.value, wins.mean(axis=1), atol=1e-12
    )
    np.testing.assert_allclose(
        found.influence[labels == 0] * (1 - share) + found.value, wins.mean(axis=0), atol=1e-12
    )


def pairs(
    generator: np.random.Generator, size: int, share: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Two equally good models, correlated at .8."""
    labels = generator.random(size) < share
    signal = generator.normal(size=size) + 1.8 * labels
    noise = generator.normal(size=(2, size))
    return labels, signal + 0.5 * noise[0], signal + 0.5 * noise[1]


@pytest.mark.parametrize("curve", CURVES)
def test_the_deviation_is_that_of_repeated_draws(curve) -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(300):
        labels, first, second = pairs(generator, 4_000, 0.03)
        found.append(difference(curve(labels, first), curve(labels, second)))
    spread = np.std([each.value for each in found])
    said = np.mean([each.deviation / np.sqrt(each.labels) for each in found])
    assert said == pytest.approx(spread, rel=0.12)  # of 300 draws, one deviation is 4 %


@pytest.mark.parametrize("curve", CURVES)
def test_a_sample_of_legitimate_events_keeps_figure_and_says_its_wider_deviation(curve) -> None:
    generator = np.random.default_rng(2)
    labels, first, second = pairs(generator, 20_000, 0.02)
    whole = difference(curve(labels, first), curve(labels, second))
    sampled = []
    for _ in range(150):
        kept = labels | (generator.random(len(labels)) < 0.1)
        weights = np.where(labels, 1.0, 10.0)[kept]
        parts = [curve(labels[kept], each[kept], weights) for each in (first, second)]
        sampled.append(difference(*parts, weights))
    errors = np.array([each.value for each in sampled]) - whole.value
    by_sampling = np.sqrt(
        [max(each.deviation**2 - whole.deviation**2, 0) / each.labels for each in sampled]
    )
    assert np.mean([each.labels for each in sampled]) == pytest.approx(20_000, rel=0.01)
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(150) + 2e-4
    assert by_sampling.mean() == pytest.approx(errors.std(), rel=0.3)


@pytest.mark.parametrize("curve", CURVES)
def test_the_same_model_differs_by_nothing(curve) -> None:
    labels, scores, _ = pairs(np.random.default_rng(3), 500, 0.1)
    found = difference(curve(labels, scores), curve(labels, scores))
    assert (found.value, found.deviation, found.labels) == (0, 0, 500)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_without_both_classes_there_is_no_figure(curve, labels: list[int]) -> None:
    found: Curve = curve(labels, [0.5] * len(labels))
    assert np.isnan(found.value)
    assert np.isnan(found.influence).all()


@pytest.mark.parametrize("curve", CURVES)
def test_bad_columns_are_refused(curve) -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        curve([0, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="NaN"):
        curve([0, 1], [0.1, np.nan])
    with pytest.raises(ValueError, match="must be"):
        curve([0, 1], [0.1])
    with pytest.raises(ValueError, match="below 0"):
        curve([0, 1], [0.1, 0.2], [1, -1])
