import json
import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inference.evaluation.evaluate import (
    UNLABELLED,
    DecisionCount,
    auc,
    average_precision,
    brier_score,
    card_precision_at_k,
    evaluate,
    event_days,
    expected_calibration_error,
    precision_at_capacity,
    recall_at_capacity,
)

DAY_MS = 86_400_000


@st.composite
def scored_events(draw, min_size=1):
    """Columns of few days, few cards and many ties."""
    n = draw(st.integers(min_size, 40))

    def column(low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)), dtype=int)

    return {
        "days": column(0, 4),
        "cards": column(0, 8),
        "labels": column(0, 1),
        "scores": column(0, 6) / 6,
    }


def card_precision_by_hand(days, cards, labels, scores, k):
    caught: set[int] = set()
    precisions = []
    for day in sorted(set(days.tolist())):
        best: dict[int, float] = {}
        bad: dict[int, bool] = {}
        for each, card, label, score in zip(days, cards, labels, scores, strict=True):
            if each == day and card not in caught:
                best[card] = max(best.get(card, -math.inf), score)
                bad[card] = bad.get(card, False) or label == 1
        top = sorted(best, key=lambda card: (-best[card], card))[:k]
        hits = [card for card in top if bad[card]]
        caught.update(hits)
        precisions.append(len(hits) / k)
    return sum(precisions) / len(precisions)


def reviewed_by_hand(days, scores, capacity):
    chosen = []
    for day in set(days.tolist()):
        of_day = [i for i in range(len(days)) if days[i] == day]
        chosen += sorted(of_day, key=lambda i: (-scores[i], i))[:capacity]
    return chosen


class TestRanking:
    def test_auc_of_four_events(self):
        # Pairs (fraud, genuine): .8>.7, .8>.1, .4<.7, .4>.1: three of four in order.
        assert auc([1, 0, 1, 0], [0.8, 0.7, 0.4, 0.1]) == 0.75

    def test_auc_counts_a_tie_half(self):
        assert auc([1, 0], [0.5, 0.5]) == 0.5

    def test_average_precision_of_four_events(self):
        # Recall 1/2 at precision 1, then recall 1 at precision 2/3.
        assert average_precision([1, 0, 1, 0], [0.8, 0.7, 0.4, 0.1]) == pytest.approx(5 / 6)

    def test_one_class_has_no_auc(self):
        assert math.isnan(auc([0, 0], [0.1, 0.2]))
        assert math.isnan(auc([1, 1], [0.1, 0.2]))
        assert math.isnan(average_precision([0, 0], [0.1, 0.2]))
        assert average_precision([1, 1], [0.1, 0.2]) == 1.0

    @given(scored_events())
    def test_auc_is_the_share_of_ordered_pairs(self, events):
        labels, scores = events["labels"], events["scores"]
        fraud, genuine = scores[labels == 1], scores[labels == 0]
        difference = fraud[:, None] - genuine[None, :]
        expected = ((difference > 0) + 0.5 * (difference == 0)).mean() if difference.size else None
        if expected is None:
            assert math.isnan(auc(labels, scores))
        else:
            assert auc(labels, scores) == pytest.approx(expected)


class TestCardPrecision:
    def test_two_days_with_a_card_caught_on_the_first(self):
        days = [0, 0, 0, 0, 1, 1, 1]
        cards = [7, 7, 8, 9, 7, 8, 9]
        labels = [0, 1, 0, 1, 1, 1, 0]
        scores = [0.9, 0.2, 0.8, 0.1, 0.99, 0.3, 0.4]
        # Day 0: 7 (.9, fraud among its events) and 8 (.8) lead: 1 of 2. Card 7 is caught.
        # Day 1: 7 is out; 9 (.4) and 8 (.3, fraud) lead: 1 of 2.
        assert card_precision_at_k(days, cards, labels, scores, 2) == 0.5
        # k = 1: day 0 card 7, caught; day 1 card 9, genuine.
        assert card_precision_at_k(days, cards, labels, scores, 1) == 0.5

    def test_a_compromised_card_that_was_not_caught_stays_in(self):
        assert card_precision_at_k([0, 0, 1], [1, 2, 1], [1, 0, 1], [0.1, 0.9, 0.5], 1) == 0.5

    def test_fewer_cards_than_k_still_divide_by_k(self):
        assert card_precision_at_k([0, 0], [1, 2], [1, 1], [0.5, 0.4], 4) == 0.5

    def test_a_day_whose_cards_are_all_caught_counts_as_zero(self):
        assert card_precision_at_k([0, 1], [1, 1], [1, 1], [0.5, 0.5], 1) == 0.5

    def test_a_tie_goes_to_the_lower_id(self):
        assert card_precision_at_k([0, 0], [2, 1], [1, 0], [0.5, 0.5], 1) == 0.0
        assert card_precision_at_k([0, 0], ["b", "a"], [0, 1], [0.5, 0.5], 1) == 1.0

    def test_nothing_is_nan(self):
        assert math.isnan(card_precision_at_k([], [], [], [], 5))

    @given(scored_events(), st.integers(1, 10))
    def test_equals_the_definition_written_out(self, events, k):
        assert card_precision_at_k(**events, k=k) == pytest.approx(
            card_precision_by_hand(**events, k=k)
        )

    @given(scored_events(), st.integers(1, 10), st.randoms(use_true_random=False))
    def test_bounds_and_invariances(self, events, k, random):
        figure = card_precision_at_k(**events, k=k)
        days, cards, labels = events["days"], events["cards"], events["labels"]
        pairs = len({(d, c) for d, c, y in zip(days, cards, labels, strict=True) if y})
        n_days = len(set(days.tolist()))
        assert 0 <= figure <= min(1.0, pairs / (k * n_days)) + 1e-12

        monotone = events | {"scores": np.exp(3 * events["scores"]) - 100}
        assert card_precision_at_k(**monotone, k=k) == figure
        order = list(range(len(labels)))
        random.shuffle(order)
        shuffled = {name: column[order] for name, column in events.items()}
        assert card_precision_at_k(**shuffled, k=k) == figure


class TestCapacity:
    def test_two_days(self):
        labels = [1, 0, 1, 1, 0]
        scores = [0.9, 0.8, 0.1, 0.2, 0.7]
        days = [3, 3, 3, 5, 5]
        # Reviewed: .9 (fraud), .8; .7, .2 (fraud).
        assert recall_at_capacity(labels, scores, days, 2) == pytest.approx(2 / 3)
        assert precision_at_capacity(labels, scores, days, 2) == 0.5
        # Ten a day: all five events are reviewed, and five is what precision divides by.
        assert recall_at_capacity(labels, scores, days, 10) == 1.0
        assert precision_at_capacity(labels, scores, days, 10) == 0.6

    def test_of_equal_scores_the_first_is_reviewed(self):
        assert recall_at_capacity([1, 0], [0.5, 0.5], [0, 0], 1) == 1.0
        assert recall_at_capacity([0, 1], [0.5, 0.5], [0, 0], 1) == 0.0

    def test_without_fraud_there_is_no_recall(self):
        assert math.isnan(recall_at_capacity([0], [0.5], [0], 1))
        assert precision_at_capacity([0], [0.5], [0], 1) == 0.0
        assert math.isnan(precision_at_capacity([], [], [], 1))

    @given(scored_events(), st.integers(1, 10))
    def test_equals_the_definition_written_out(self, events, capacity):
        labels, scores, days = (events[name] for name in ("labels", "scores", "days"))
        chosen = reviewed_by_hand(days, scores, capacity)
        precision = precision_at_capacity(labels, scores, days, capacity)
        assert precision == pytest.approx(labels[chosen].mean())
        recall = recall_at_capacity(labels, scores, days, capacity)
        if labels.any():
            assert recall == pytest.approx(labels[chosen].sum() / labels.sum())
            assert recall <= recall_at_capacity(labels, scores, days, capacity + 1)
            assert recall == recall_at_capacity(labels, np.exp(scores) * 2 - 9, days, capacity)
        else:
            assert math.isnan(recall)


class TestCalibration:
    def test_brier_by_hand(self):
        assert brier_score([1, 0], [0.75, 0.5]) == (0.0625 + 0.25) / 2

    def test_error_by_hand(self):
        # Two bins of two: |(.1 + .3)/2 - 1/2| = .3 and |(.6 + .8)/2 - 1/2| = .2, mean .25.
        labels, probabilities = [0, 1, 1, 0], [0.1, 0.3, 0.6, 0.8]
        assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(0.25)

    def test_equal_probabilities_share_a_bin_in_any_order(self):
        for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
            error = expected_calibration_error(labels, [0.25] * 4, bins=4)
            assert error == pytest.approx(0.0)

    def test_true_probabilities_are_calibrated(self):
        rng = np.random.default_rng(5)
        probabilities = rng.beta(0.5, 5, 200_000)
        labels = (rng.random(200_000) < probabilities).astype(int)
        assert expected_calibration_error(labels, probabilities) < 0.005
        assert expected_calibration_error(labels, probabilities / 2) > 0.03

    def test_without_events_there_is_none(self):
        assert math.isnan(brier_score([], []))
        assert math.isnan(expected_calibration_error([], []))

    @given(scored_events(), st.integers(1, 12))
    def test_lies_between_the_mean_gap_and_one(self, events, bins):
        labels, probabilities = events["labels"], events["scores"]
        error = expected_calibration_error(labels, probabilities, bins)
        assert abs(labels.mean() - probabilities.mean()) - 1e-12 <= error <= 1


class TestRefusals:
    def test_a_label_that_is_not_known_yet(self):
        with pytest.raises(ValueError, match="leave out events that have no label yet"):
            auc([1, UNLABELLED], [0.1, 0.2])

    def test_a_score_that_is_missing(self):
        with pytest.raises(ValueError, match="scores are NaN at 1 events, the first at 1"):
            average_precision([1, 0], [0.1, float("nan")])

    def test_columns_of_different_length(self):
        with pytest.raises(ValueError, match=r"scores has shape \(1,\), labels \(2,\)"):
            auc([1, 0], [0.1])
        with pytest.raises(ValueError, match="days has shape"):
            recall_at_capacity([1, 0], [0.1, 0.2], [0], 1)

    def test_a_capacity_below_one(self):
        with pytest.raises(ValueError, match="k = 0 must be at least 1"):
            card_precision_at_k([0], [0], [1], [0.5], 0)
        with pytest.raises(ValueError, match="capacity_per_day = 0"):
            recall_at_capacity([1], [0.5], [0], 0)

    def test_a_score_that_is_no_probability(self):
        for metric in (brier_score, expected_calibration_error):
            with pytest.raises(ValueError, match=r"\[0, 1\]"):
                metric([1], [1.5])


class TestEvaluate:
    COLUMNS = {  # noqa: RUF012
        "times_ms": np.array([0, DAY_MS - 1, DAY_MS, DAY_MS + 5, 2 * DAY_MS]),
        "cards": ["a", "b", "a", "c", "d"],
        "labels": np.array([1, 0, 1, 0, UNLABELLED]),
        "scores": np.array([0.9, 0.2, 0.3, 0.6, 0.95]),
        "probabilities": np.array([0.8, 0.1, 0.2, 0.4, 0.9]),
        "decisions": ["decline", "approve", "approve", "review", "decline"],
    }

    def test_every_figure(self):
        result = evaluate(**self.COLUMNS, k=1, capacity_per_day=1)
        assert (result.events, result.labelled, result.frauds, result.days) == (5, 4, 2, 2)
        assert result.auc == 0.75
        assert result.average_precision == pytest.approx((1 + 2 / 3) / 2)
        # Day 0 catches card a; on day 1 it is out, and c is genuine.
        assert result.card_precision == 0.5
        assert result.recall_at_capacity == 0.5
        assert result.precision_at_capacity == 0.5
        assert result.brier == pytest.approx((0.04 + 0.01 + 0.64 + 0.16) / 4)
        assert result.decisions == {
            "approve": DecisionCount(events=2, labelled=2, frauds=1),
            "review": DecisionCount(events=1, labelled=1, frauds=0),
            "decline": DecisionCount(events=2, labelled=1, frauds=1),
        }
        assert result.undefined == {}

    def test_goes_to_json_and_back(self):
        plain = evaluate(**self.COLUMNS).as_dict()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert plain["decisions"]["decline"] == {"events": 2, "labelled": 1, "frauds": 1}

    @pytest.mark.parametrize(
        ("label", "reason", "missing"),
        [
            (0, "no fraud", {"auc", "average_precision", "recall_at_capacity"}),
            (1, "only fraud", {"auc"}),
        ],
    )
    def test_one_class_leaves_figures_out_and_says_why(self, label, reason, missing):
        result = evaluate(**self.COLUMNS | {"labels": np.full(5, label)})
        assert set(result.undefined) == missing
        for name in missing:
            assert reason in result.undefined[name]
            assert math.isnan(getattr(result, name))
            assert result.as_dict()[name] is None
        json.dumps(result.as_dict(), allow_nan=False)

    def test_no_label_at_all(self):
        result = evaluate(**self.COLUMNS | {"labels": np.full(5, UNLABELLED)})
        assert (result.events, result.labelled, result.days) == (5, 0, 0)
        assert set(result.undefined.values()) == {"no labelled events"}
        assert len(result.undefined) == 7

    def test_a_column_too_short_is_named(self):
        with pytest.raises(ValueError, match="decisions has shape"):
            evaluate(**self.COLUMNS | {"decisions": ["approve"]})

    def test_days_before_1970_are_days_too(self):
        assert event_days(np.array([-1, 0, DAY_MS])).tolist() == [-1, 0, 1]


def handbook_folder() -> Path | None:
    given = os.environ.get("WEIR_TEST_DATA")
    beside = Path(__file__).parents[4] / "shared" / "data"
    folder = (Path(given) if given else beside) / "handbook"
    return folder if (folder / "transactions.parquet").is_file() else None


@pytest.mark.skipif(
    handbook_folder() is None,
    reason="needs the Handbook's data: set WEIR_TEST_DATA to the folder that holds handbook/",
)
def test_logistic_regression_reaches_the_handbooks_published_figures():
    folder = handbook_folder()
    assert folder is not None
    golden = pq.read_table(folder / "golden_features_2018-07-25_2018-08-14.parquet")
    names = [name for name in golden.column_names if name != "TRANSACTION_ID"]
    raw = pq.read_table(
        folder / "transactions.parquet",
        columns=["TRANSACTION_ID", "CUSTOMER_ID", "TX_TIME_DAYS", "TX_FRAUD"],
        filters=[("TX_TIME_DAYS", ">=", 115), ("TX_TIME_DAYS", "<=", 135)],
    )
    rows = golden.join(raw, "TRANSACTION_ID").sort_by("TRANSACTION_ID")
    test_ids = pa_csv.read_csv(folder / "test_transaction_ids_2018-08-08_2018-08-14.csv.gz")
    ids, day, card, label = (
        rows[name].to_numpy()
        for name in ("TRANSACTION_ID", "TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD")
    )
    features = np.column_stack([rows[name].cast(pa.float64()).to_numpy() for name in names])
    train = day <= 121
    test = np.isin(ids, test_ids["TRANSACTION_ID"].to_numpy())
    assert (train.sum(), test.sum()) == (67_240, 58_264)

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    model.fit(features[train], label[train])
    scores = model.predict_proba(features[test])[:, 1]

    # Published: .871 / .606 / .291 (Le Borgne et al., 2022, chapter 3, baseline).
    assert auc(label[test], scores) == pytest.approx(0.871, abs=0.003)
    assert average_precision(label[test], scores) == pytest.approx(0.606, abs=0.003)
    figure = card_precision_at_k(day[test], card[test], label[test], scores, 100)
    assert figure == pytest.approx(0.291, abs=0.003)
