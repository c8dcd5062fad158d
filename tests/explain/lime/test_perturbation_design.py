"""What the model is asked about an event, and how its answers are weighed."""

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import rankdata

from explain.errors import ExplainError
from explain.lime.medoids import medoids
from explain.lime.perturbation_design import Groups, draw
from explain.lime.settings import ExplainSettings

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


def test_groups_are_replaced_independently_within_each_row(package):
    design = draw(package, ExplainSettings(samples=256))
    runs = design.runs
    for first in range(0, 256, runs):
        kept, drawn = design.kept[first : first + runs], design.drawn[first : first + runs]
        np.testing.assert_array_equal(drawn, np.repeat(drawn[:1], runs, axis=0))
        assert (kept[: runs // 2] ^ kept[runs // 2 :]).all(), "every sample has its complement"
        signs = np.where(kept, 1, -1)
        np.testing.assert_array_equal(signs.T @ signs, runs * np.eye(6))
        for pair in signs.T[:, None] * signs.T:  # no effect is mixed with a product of two
            np.testing.assert_array_equal(pair @ signs, 0)
        idle = design.idle[first : first + runs]
        np.testing.assert_allclose(idle.T @ signs, 0, atol=1e-12)
        assert idle.shape[1] == runs // 2 - 6


@pytest.mark.parametrize(("groups", "runs"), [(3, 32), (15, 32), (16, 64), (31, 64), (32, 128)])
def test_every_row_meets_as_many_samples_as_the_groups_need(package, groups, runs):
    names = tuple(map(str, range(groups)))
    wide = dataclasses.replace(
        package,
        features=package.features.model_copy(update={"names": names}),
        background=np.random.default_rng(0).normal(size=(40, groups)).astype(np.float32),
    )
    design = draw(wide, ExplainSettings(samples=1024))
    assert design.runs == runs
    assert len(design.kept) == min(1024 // runs, 40) * runs


def test_weights_are_limes_kernel_and_the_shares_of_the_rows(package):
    design = draw(package, ExplainSettings(kernel_width=0.5))
    distance = np.sqrt((~design.kept).sum(axis=1))
    kernel = np.sqrt(np.exp(-(distance**2) / (0.5 * np.sqrt(6)) ** 2))
    rows, shares = medoids(package.background, 16)
    np.testing.assert_array_equal(design.drawn[:: design.runs], package.background[rows])
    expected = np.repeat(shares, design.runs) * kernel
    np.testing.assert_allclose(design.weights, expected / expected.sum())
    assert design.ess == pytest.approx(expected.sum() ** 2 / (expected**2).sum())


def test_prototypes_are_rows_that_are_near_the_others(package):
    """In ranks, nearer than any of a hundred random choices."""
    rows = package.background
    ranks = rankdata(np.nan_to_num(rows, nan=-np.inf), axis=0)

    def remoteness(places):
        return np.square(ranks[:, None] - ranks[places]).sum(axis=2).min(axis=1).sum()

    places, shares = medoids(rows, 16)
    rng = np.random.default_rng(0)
    chosen = [rng.choice(len(rows), 16, replace=False) for _ in range(100)]
    assert remoteness(places) < min(map(remoteness, chosen))
    nearest = np.square(ranks[:, None] - ranks[places]).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(shares, np.bincount(nearest, minlength=16) / len(rows))
    np.testing.assert_array_equal(medoids(rows * np.float32(8), 16)[0], places)


def test_prototypes_of_any_background():
    rng = np.random.default_rng(0)
    for rows in (rng.normal(size=(5_000, 2)), np.full((9, 2), np.nan), np.zeros((4, 1))):
        places, shares = medoids(rows.astype(np.float32), 4)
        assert places.shape == shares.shape == (4,)
        assert 0 <= places.min() <= places.max() < len(rows)
        assert shares.sum() == pytest.approx(1.0)


def test_what_the_operator_reads_is_the_weighted_fit(package):
    design = draw(package, ExplainSettings(samples=512))
    answers = np.random.default_rng(0).normal(size=512)
    root = np.sqrt(design.weights)
    expected = np.linalg.lstsq(design.regressors.T * root[:, None], answers * root, rcond=None)[0]
    np.testing.assert_allclose(design.operator.T @ answers, expected, atol=1e-9)


def test_features_that_a_model_does_not_read_are_left_out_of_groups():
    groups = Groups.of(NAMES, {"risks": ("risk_30d", "risk_90d"), "unused": ("elsewhere",)})
    assert groups.names == ("amount", "count_1d", "amount_7d", "hour", "risks", "device_age")
    assert groups.features[4] == ("risk_30d",)


def test_what_cannot_be_explained_says_why(package):
    with pytest.raises(ExplainError, match=r"explain\.groups\.hour: a feature has this name"):
        draw(package, ExplainSettings(groups={"hour": ("amount",)}))
    bare = dataclasses.replace(package, background=package.background[:3])
    with pytest.raises(ExplainError, match="has 3 background rows"):
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
