"""Pattern counts add up, and the rates found are those by which the world was made."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.weak_labels.dawid_skene import INDEPENDENT, fit_rates
from inference.weak_labels.errors import WeakLabelError
from inference.weak_labels.pattern_counts import PatternCounts
from inference.weak_labels.young import certainty, chance_of_the_rest

TRUE_POSITIVE = np.array([0.6, 0.3, 0.5, 0.1])
FALSE_POSITIVE = np.array([0.01, 0.002, 0.03, 0.7])
"""The last rule speaks of legitimate events."""
PRIOR = 0.005


def world(
    events: int, seed: int, known: float = 0.2
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    """Votes, labels, and labels as far as they are known; a tenth of the votes are abstained."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(events) < PRIOR).astype(np.int8)
    rates = np.where(labels[:, None] == 1, TRUE_POSITIVE, FALSE_POSITIVE)
    votes = (rng.random(rates.shape) < rates).astype(np.int8)
    votes[rng.random(rates.shape) < 0.1] = -1
    return votes, labels, np.where(rng.random(events) < known, labels, -1).astype(np.int8)


def test_counts_of_parts_add_up() -> None:
    votes, _, known = world(5_000, 1)
    weights = np.random.default_rng(2).integers(1, 9, 5_000).astype(float)
    whole = PatternCounts.of(votes, known, weights)
    parts = PatternCounts.none(4)
    for start in (3_000, 0):
        stop = min(start + 3_000, 5_000)
        here = slice(start, stop)
        parts += PatternCounts.of(votes[here], known[here], weights[here])
    np.testing.assert_array_equal(parts.patterns, whole.patterns)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(whole.patterns[whole.place_of(votes)], votes)
    assert whole.counts[:, 2].sum() == weights[known == 1].sum()


def test_rates_of_independent_rules_are_found() -> None:
    """With far smaller errors than from the known labels alone."""
    off, alone = [], []
    for seed in range(5):
        votes, _, known = world(200_000, seed)
        fitted = fit_rates(PatternCounts.of(votes, known))
        assert fitted.concentration >= 100
        error = (fitted.true_positive - TRUE_POSITIVE) / fitted.true_positive_se
        off.append(error)
        frauds = votes[known == 1]
        only = (frauds == 1).sum(axis=0) / (frauds >= 0).sum(axis=0)
        alone.append((only - TRUE_POSITIVE) / fitted.true_positive_se)
        np.testing.assert_allclose(fitted.false_positive, FALSE_POSITIVE, atol=0.003)
    assert np.abs(off).max() < 2.5
    assert np.square(off).mean() < 0.8 * np.square(alone).mean()


def test_chances_are_those_of_the_frauds_found_later() -> None:
    votes, labels, known = world(200_000, 7)
    counts = PatternCounts.of(votes, known)
    later = known < 0
    chance = fit_rates(counts, PRIOR).chance[counts.place_of(votes[later])]
    assert chance.sum() == pytest.approx(labels[later].sum(), rel=0.1)
    sure = chance > 0.5
    assert labels[later][sure].mean() == pytest.approx(chance[sure].mean(), abs=0.1)


def test_known_labels_have_their_say_where_rules_depend_on_each_other() -> None:
    """Twice the same rule: plain Dawid-Skene takes the second one's word for a confirmation."""
    votes, labels, known = world(200_000, 3)
    votes = np.concatenate([votes, votes[:, 2:3], votes[:, 2:3]], axis=1)
    counts = PatternCounts.of(votes, known)
    plain, fitted = fit_rates(counts, concentrations=INDEPENDENT), fit_rates(counts)
    frauds = votes[labels == 1]
    truth = (frauds == 1).sum(axis=0) / (frauds >= 0).sum(axis=0)
    assert fitted.concentration <= 30
    assert np.abs(fitted.true_positive - truth).max() < 0.05
    assert np.abs(plain.true_positive - truth).max() > 0.1


def test_frauds_that_are_known_early_are_not_looked_for_again() -> None:
    votes, labels, known = world(200_000, 4)
    counts = PatternCounts.of(votes, known)
    young = known < 0
    chance = fit_rates(counts, PRIOR).chance[counts.place_of(votes[young])]
    truth = labels[young]
    reported = (truth == 1) & (np.random.default_rng(5).random(len(truth)) < 0.5)
    early = np.where(reported, 1, -1).astype(np.int8)
    rest = chance_of_the_rest(chance, early)
    assert (rest[reported] == 1).all()
    assert rest[~reported].sum() == pytest.approx(truth[~reported].sum(), rel=0.15)
    np.testing.assert_allclose(chance_of_the_rest(chance, np.full(len(chance), -1)), chance)


def test_without_known_frauds_nothing_is_said() -> None:
    votes, _, known = world(1_000, 6)
    with pytest.raises(WeakLabelError, match=r"0 frauds and .* legitimate events are known"):
        fit_rates(PatternCounts.of(votes, np.minimum(known, 0)))


def test_certainty() -> None:
    found = certainty(np.array([0.0, 0.5, 1.0, 0.11]))
    np.testing.assert_allclose(found, [1, 0, 1, 0.5], atol=1e-3)
