"""The exact mode beside the `lime` package itself, on the same random stream."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lime_package import CONFIGURATIONS, PackageLime, difference, made_up_payments
from numpy.typing import NDArray
from pydantic import ValidationError

from explain.errors import ExplainError
from explain.exact.explainer import ExactExplanation, ExactLime, Predict
from explain.exact.settings import ExactSettings

TOLERANCE = 1e-9

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
"""The package's regressions warn of columns that are equal; see `scipy.linalg.LinAlgWarning`."""


class Recorder:
    """A model that remembers what it was asked."""

    def __init__(self, model: Predict) -> None:
        self._model = model
        self.inputs = np.empty((0, 0))

    def __call__(self, inputs: NDArray[np.float64]) -> NDArray[np.floating]:
        self.inputs = inputs.copy()
        return self._model(inputs)


def assert_equal_on(
    training: NDArray[np.float64],
    chosen: ExactSettings,
    events: NDArray[np.float64],
    model: Predict,
    *,
    seed: int,
    labels: NDArray[np.int8] | None = None,
) -> list[ExactExplanation]:
    """Explain events one after the other by both; the samples must be equal to the bit."""
    streams = np.random.RandomState(seed), np.random.RandomState(seed)
    ours = ExactLime(training, chosen, streams[0], labels)
    package = PackageLime(training, chosen, streams[1], labels)
    result = []
    for event in events:
        models = Recorder(model), Recorder(model)
        result.append(ours.explain(event, models[0]))
        expected = package.explain(event, models[1])
        np.testing.assert_array_equal(models[0].inputs, models[1].inputs)
        assert difference(result[-1], expected) <= TOLERANCE, (result[-1], expected)
    np.testing.assert_equal(streams[0].get_state(), streams[1].get_state())
    return result


def explain_payments(chosen: ExactSettings, *, instances: int, seed: int) -> list[ExactExplanation]:
    training, model = made_up_payments(np.random.default_rng(seed), 1_000)
    return assert_equal_on(training, chosen, training[:instances], model, seed=seed)


@pytest.mark.parametrize("chosen", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_equals_the_package(chosen):
    explained = explain_payments(
        chosen.model_copy(update={"num_samples": 300}), instances=20, seed=1
    )
    assert {len(each.features) for each in explained} == {chosen.num_features}


@pytest.mark.exhaustive
@pytest.mark.parametrize("chosen", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_equals_the_package_on_200_instances_of_5000_samples(chosen):
    explain_payments(chosen, instances=200, seed=2)


@pytest.mark.parametrize("discretizer", ["none", "quartile", "decile", "entropy"])
@pytest.mark.parametrize(
    "selection", ["none", "forward_selection", "highest_weights", "lasso_path"]
)
def test_every_rule_equals_the_package(discretizer, selection):
    rng = np.random.default_rng(3)
    training, model = made_up_payments(rng, 300)
    chosen = ExactSettings(
        discretizer=discretizer, feature_selection=selection, num_features=4, num_samples=200
    )
    labels = (model(training) > 0.5).astype(np.int8)
    assert_equal_on(training, chosen, training[:1], model, seed=3, labels=labels)


def test_up_to_six_features_auto_is_forward_selection():
    def chosen_by(rule: str, count: int) -> list[tuple[int, ...]]:
        chosen = ExactSettings.model_validate(
            {"discretizer": "none", "feature_selection": rule, "num_features": count}
        ).model_copy(update={"num_samples": 300})
        training, model = made_up_payments(np.random.default_rng(4), 300)
        explainer = ExactLime(training, chosen, np.random.RandomState(4))
        return [explainer.explain(event, model).features for event in training[:10]]

    assert chosen_by("auto", 6) == chosen_by("forward_selection", 6)
    assert chosen_by("auto", 6) != chosen_by("highest_weights", 6)
    assert chosen_by("auto", 7) == chosen_by("highest_weights", 7)
    assert chosen_by("auto", 7) != chosen_by("forward_selection", 7)


def test_attributions_come_by_falling_size():
    for explanation in explain_payments(ExactSettings(num_samples=200), instances=1, seed=5):
        sizes = [abs(weight) for weight in explanation.weights]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("discretizer", ["none", "quartile"])
def test_events_far_from_all_that_was_seen(discretizer):
    training, model = made_up_payments(np.random.default_rng(6), 300)
    chosen = ExactSettings(discretizer=discretizer, num_features=5, num_samples=100)
    assert_equal_on(training, chosen, training[:2] * 1e3, model, seed=6)


def test_kernel_width_decides_how_local_it_is():
    wide, narrow = (
        explain_payments(
            ExactSettings(discretizer="none", kernel_width=width, num_samples=300),
            instances=2,
            seed=7,
        )
        for width in (100.0, 1.0)
    )
    assert difference(wide[0], narrow[0]) > 1e-3


@st.composite
def awkward(draw: st.DrawFn):
    """Few rows of constants, ties, codes, copies and huge or tiny values; models that jump."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(2, 30))
    columns: list[NDArray[np.float64]] = []
    for kind in draw(st.lists(st.integers(0, 4), min_size=1, max_size=6)):
        columns.append(
            (
                rng.normal(size=rows),
                np.full(rows, rng.choice([0.0, 0.1, 1e8])),
                rng.integers(0, 3, rows).astype(np.float64),
                rng.lognormal(0, 2, rows) * rng.choice([1e-6, 1e6]),
                columns[-1].copy() if columns else rng.normal(size=rows),
            )[kind]
        )
    training = np.column_stack(columns)
    discretizer = draw(st.sampled_from(["none", "quartile", "decile", "entropy"]))
    codes = [i for i, column in enumerate(columns) if set(column) <= {0, 1, 2}]
    chosen = ExactSettings(
        discretizer=discretizer,
        categorical_features=tuple(draw(st.permutations(codes)))[: draw(st.integers(0, 6))],
        sample_around_instance=discretizer == "none" and draw(st.booleans()),
        kernel_width=draw(st.sampled_from([None, 0.1, 3.0])),
        feature_selection=draw(
            st.sampled_from(["auto", "none", "forward_selection", "highest_weights", "lasso_path"])
        ),
        num_features=draw(st.integers(1, 8)),
        num_samples=draw(st.integers(2, 60)),
    )
    middle = np.median(training, axis=0)
    slopes = rng.normal(size=len(columns))
    model: Predict = draw(
        st.sampled_from(
            [
                lambda inputs: np.full(len(inputs), 0.1),
                lambda inputs: np.where(inputs[:, 0] > middle[0], 0.7, 0.2),
                lambda inputs: (np.sign(inputs - middle) @ slopes > 0).astype(np.float64),
                lambda inputs: 1 / (1 + np.exp(-np.tanh(inputs - middle) @ slopes)),
            ]
        )
    )
    labels = rng.integers(0, 2, rows).astype(np.int8)
    return training, chosen, model, labels


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(awkward(), st.integers(0, 2**32 - 1))
def test_equals_the_package_on_awkward_data(case, seed):
    training, chosen, model, labels = case
    assert_equal_on(training, chosen, training[:1], model, seed=seed, labels=labels)


@pytest.mark.exhaustive
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(awkward(), st.integers(0, 2**32 - 1))
def test_equals_the_package_on_much_awkward_data(case, seed):
    training, chosen, model, labels = case
    assert_equal_on(training, chosen, training[:1], model, seed=seed, labels=labels)


def make(**values: object) -> ExactLime:
    training = np.random.default_rng(8).normal(size=(50, 3))
    chosen = ExactSettings.model_validate({"num_samples": 50, **values})
    return ExactLime(training, chosen, np.random.RandomState(8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_values_are_refused(bad):
    training = np.ones((5, 3))
    training[2, 1] = bad
    with pytest.raises(
        ExplainError, match=r"training rows have a missing or infinite .* column 1:"
    ):
        ExactLime(training, ExactSettings(), np.random.RandomState(1))
    with pytest.raises(ExplainError, match=r"the event has a missing or infinite .* column 2:"):
        make().explain(np.array([0, 1, bad]), lambda inputs: inputs[:, 0])


@pytest.mark.parametrize(
    ("event", "model", "reason"),
    [
        (np.zeros(2), lambda inputs: inputs[:, 0], r"shape \(2,\): give \(3,\)"),
        (np.zeros(3), lambda inputs: inputs[:, :2], r"shape \(50, 2\): give one probability"),
        (np.zeros(3), lambda inputs: inputs[:, 0] * np.nan, "no finite number"),
    ],
)
def test_what_does_not_fit_is_refused(event, model, reason):
    with pytest.raises(ExplainError, match=reason):
        make().explain(event, model)


@pytest.mark.parametrize(("width", "size"), [(1e-300, 1.0), (1.0, 1e200), (1.0, 1e308)])
def test_without_any_weight_there_is_no_explanation(width, size):
    explainer = make(discretizer="none", kernel_width=width)
    with pytest.raises(ExplainError, match="no sample has a weight"):
        explainer.explain(np.full(3, size), lambda inputs: np.sign(inputs[:, 0]))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"categorical_features": (3,)}, "names column 3: there are 0 to 2"),
        ({"discretizer": "entropy"}, "needs a label for each"),
    ],
)
def test_settings_that_do_not_fit_the_rows_are_refused(values, reason):
    with pytest.raises(ExplainError, match=reason):
        make(**values)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_no_rows_are_refused(shape):
    with pytest.raises(ExplainError, match="give a matrix"):
        ExactLime(np.ones(shape), ExactSettings(), np.random.RandomState(1))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"categorical_features": (1, 1)}, "names a column twice"),
        ({"sample_around_instance": True}, "does nothing to discretised features"),
        ({"num_samples": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_without_a_meaning_are_refused(values, reason):
    with pytest.raises(ValidationError, match=reason):
        ExactSettings.model_validate(values)
