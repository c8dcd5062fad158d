"""What the model is asked about an event, and how its answers are weighed."""

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError

from explain.design import Groups, draw
from explain.errors import ExplainError
from explain.settings import ExplainSettings

NAMES = ("amount", "count_1d", "amount_7d", "hour", "risk_30d", "device_age")


def test_the_same_package_is_asked_the_same(package):
    one, other = (draw(package, ExplainSettings()) for _ in range(2))
    assert one.sha256 == other.sha256
    assert draw(package, ExplainSettings(seed=1)).sha256 != one.sha256
    trained_again = dataclasses.replace(package, id="ab" * 32)
    assert draw(trained_again, ExplainSettings()).sha256 != one.sha256


def test_samples_mix_the_event_with_rows_that_were(package, data):
    design = draw(package, ExplainSettings(groups={"amounts": ("amount", "amount_7d")}))
    row = data.matrix[7]
    for sample, drawn, kept in zip(design.mixed(row), design.drawn, design.kept, strict=True):
        assert (package.background == drawn).all(axis=1).any() or np.isnan(drawn).any()
        for group, keeps in enumerate(kept):
            own = design.groups.of_column == group
            np.testing.assert_array_equal(sample[own], (row if keeps else drawn)[own])
    assert design.groups.names == ("amounts", "count_1d", "hour", "risk_30d", "device_age")


def test_groups_are_replaced_independently(package):
    kept = draw(package, ExplainSettings(samples=256)).kept
    half = len(kept) // 2
    assert (kept[:half] ^ kept[half:]).all(), "every sample has its complement"
    signs = np.where(kept, 1, -1)
    np.testing.assert_array_equal(signs.T @ signs, 256 * np.eye(6))
    for pair in signs.T[:, None] * signs.T:  # no effect is mistaken for a product of two others
        np.testing.assert_array_equal(pair @ signs, 0)


def test_weights_are_limes_kernel(package):
    design = draw(package, ExplainSettings(kernel_width=0.5))
    distance = np.sqrt((~design.kept).sum(axis=1))
    expected = np.sqrt(np.exp(-(distance**2) / (0.5 * np.sqrt(6)) ** 2))
    np.testing.assert_allclose(design.weights, expected / expected.sum())
    assert design.ess == pytest.approx(expected.sum() ** 2 / (expected**2).sum())


def test_what_the_operator_reads_is_the_weighted_fit(package):
    design = draw(package, ExplainSettings(samples=512))
    effects = 1 + len(design.groups.names)
    truth = np.random.default_rng(0).normal(size=effects)
    read = design.operator.T @ (truth @ design.regressors[:effects])
    np.testing.assert_allclose(read[:effects], truth, atol=1e-9)


def test_features_that_a_model_does_not_read_are_left_out_of_groups():
    groups = Groups.of(NAMES, {"risks": ("risk_30d", "risk_90d"), "unused": ("elsewhere",)})
    assert groups.names == ("amount", "count_1d", "amount_7d", "hour", "risks", "device_age")
    assert groups.features[4] == ("risk_30d",)


def test_what_cannot_be_explained_says_why(package):
    with pytest.raises(ExplainError, match=r"explain\.groups\.hour: a feature has this name"):
        draw(package, ExplainSettings(groups={"hour": ("amount",)}))
    bare = dataclasses.replace(package, background=package.background[:0])
    with pytest.raises(ExplainError, match="no background rows"):
        draw(bare, ExplainSettings())
    wide = dataclasses.replace(
        package,
        features=package.features.model_copy(update={"names": tuple(map(str, range(70)))}),
        background=np.zeros((5, 70), np.float32),
    )
    with pytest.raises(ExplainError, match=r"explain\.samples: 128 are too few for 70 groups"):
        draw(wide, ExplainSettings(samples=128))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samples": 1000}, "no power of two"),
        ({"groups": {"a": ()}}, "group 'a' has no features"),
        ({"groups": {"a": ("x",), "b": ("x",)}}, "'x' is in the groups 'a' and 'b'"),
        ({"decisions": ("maybe",)}, "approve"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        ExplainSettings(**wrong)
