import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from inference.policy.policy import DECLINE, REVIEW
from inference.shadow.statistics.similarity import (
    BINS,
    Similarity,
    bin_edges,
    flips_at_rate,
    rank_correlations,
)

Columns = tuple[NDArray[np.float64], ...]


def columns(size: int, seed: int = 1) -> Columns:
    """Decisions, scores and amounts of two models that agree mostly; some scores are missing."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-3, 2, size) + generator.normal(0, 0.5, (2, size))
    first, second = (1 / (1 + np.exp(-logits))).astype(np.float32)
    second[generator.random(size) < 0.02] = np.nan
    amounts = generator.lognormal(4, 1, size)
    amounts[generator.random(size) < 0.05] = np.nan
    decisions = (np.digitize(np.nan_to_num(each), [0.3, 0.7]) for each in (first, second))
    return *decisions, first, second, amounts


@given(st.integers(0, 200), st.integers(1, 6), st.integers(0, 9))
def test_parts_add_up_to_the_whole_to_the_bit(size: int, parts: int, seed: int) -> None:
    every = columns(size, seed)
    total = Similarity()
    for part in range(parts):
        total = Similarity.of(*(each[::-1][part::parts] for each in every)) + total
    assert total == Similarity.of(*every)


def test_counts_by_hand() -> None:
    found = Similarity.of(
        [0, 0, 2, 1, 2],
        [0, 2, 0, 1, 2],
        [0.1, 0.2, 0.9, 0.5, np.nan],
        [0.1, 0.9, 0.2, 0.5, 0.9],
        [10.0, 20.0, 30.5, np.nan, 5.0],
    )
    assert found.decision_counts.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert found.decision_amounts.tolist() == [[10, 0, 20], [0, 0, 0], [30.5, 0, 5]]
    assert (found.without_amount, found.not_scored) == (1, 1)
    assert found.flips(REVIEW) == (1, 1)
    assert found.flips(DECLINE) == (1, 1)
    assert found.score_counts.sum() == 4


def test_flips_at_each_threshold_are_those_of_the_decisions() -> None:
    first, second, *rest = columns(3_000)
    found = Similarity.of(first, second, *rest)
    for decision in (REVIEW, DECLINE):
        assert found.flips(decision) == (
            ((first >= decision) & (second < decision)).sum(),
            ((first < decision) & (second >= decision)).sum(),
        )


def test_a_model_beside_itself_never_flips() -> None:
    decisions, _, scores, _, amounts = columns(3_000)
    found = Similarity.of(decisions, decisions, scores, scores, amounts)
    assert found.flips(REVIEW) == found.flips(DECLINE) == (0, 0)
    matched = flips_at_rate(found.score_counts, 0.05)
    assert (matched.champion_only, matched.candidate_only) == (0, 0)
    assert rank_correlations(found.score_counts) == pytest.approx((1, 1))


def test_rank_correlations_are_those_of_scipy() -> None:
    every = columns(3_000)
    spearman, kendall = rank_correlations(Similarity.of(*every).score_counts)
    scored = ~np.isnan(every[3])
    first, second = (each[scored] for each in every[2:4])
    bins = [np.digitize(each, bin_edges()) for each in (first, second)]
    assert spearman == pytest.approx(spearmanr(*bins).statistic, abs=1e-10)
    assert kendall == pytest.approx(kendalltau(*bins).statistic, abs=1e-10)
    # Bins cost little.
    assert spearman == pytest.approx(spearmanr(first, second).statistic, abs=2e-3)
    assert kendall == pytest.approx(kendalltau(first, second).statistic, abs=2e-2)


def test_of_one_bin_there_is_no_correlation() -> None:
    table = np.zeros((BINS, BINS), np.int64)
    table[3] = 1
    assert np.isnan(rank_correlations(table)).all()


def test_flips_at_a_matched_rate_compare_thresholds_that_alert_equally_often() -> None:
    """The candidate's scores are the champion's, shifted: none flips, though all bounds do."""
    generator = np.random.default_rng(5)
    logits = generator.normal(-3, 1.5, 20_000)
    first, second = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-logits - 1.5))
    decided = [np.digitize(each, [0.3, 0.7]) for each in (first, second)]
    found = Similarity.of(*decided, first, second, np.ones(20_000))
    assert found.flips(REVIEW)[1] > 1_000
    matched = flips_at_rate(found.score_counts, 0.01)
    assert matched.champion_rate == pytest.approx(0.01, rel=0.15)
    assert matched.candidate_rate == pytest.approx(0.01, rel=0.15)
    assert matched.champion_only + matched.candidate_only < 40
    with pytest.raises(ValueError, match="nothing was scored"):
        flips_at_rate(np.zeros((BINS, BINS), np.int64), 0.01)


def test_the_ends_of_the_scale_have_bins() -> None:
    found = Similarity.of([0, 2], [0, 2], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0])
    assert found.cells == {0: 1, BINS * BINS - 1: 1}
    assert len(bin_edges()) == BINS
    assert (np.diff(bin_edges()) > 0).all()


def test_the_state_survives_json() -> None:
    found = Similarity.of(*columns(2_000))
    read = json.loads(json.dumps(asdict(found)))
    again = Similarity(
        tuple(read["decisions"]),
        tuple(read["amounts"]),
        read["without_amount"],
        {int(cell): count for cell, count in read["cells"].items()},
        read["not_scored"],
    )
    assert again == found


def test_bad_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Similarity.of([0], [0], [0.5], [1.5], [1.0])
    with pytest.raises(ValueError, match="0, 1 or 2"):
        Similarity.of([0], [3], [0.5], [0.5], [1.0])
    with pytest.raises(ValueError, match="one shape"):
        Similarity.of([0], [1], [0.5, 0.5], [0.5], [1.0])
    with pytest.raises(ValueError, match="finite"):
        Similarity.of([0], [1], [0.5], [0.5], [np.inf])
