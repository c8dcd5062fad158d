"""Where answers meet labels: what counts, when, and what is kept of it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from joined_answers import GROUPS, MATURITY, START, TERMS, Answers, JoinedAnswers

from inference.shadow.joining.known_labels import LABEL
from monitoring.performance.cohorts.cohort import DAY, cohort_bytes, terms_of
from monitoring.performance.cohorts.delay_bins import delay_bins
from monitoring.performance.cohorts.truth import Truth, count
from monitoring.performance.join import PROGRESS, PerformanceJoin
from streams.loop.stateless.keyed_state import PartitionState

NOTHING = np.zeros(0, LABEL)


def test_an_event_counts_at_its_age_with_what_was_known_then() -> None:
    answers = Answers(1, 3_000)
    end = int(answers.rows["time"][-1])
    joined = JoinedAnswers().take(answers.rows, answers.labels(0, end + 1), answers.anomalous)
    mature = answers.rows["time"] <= end - MATURITY
    in_time = answers.frauds & (answers.delays <= MATURITY)
    cohort = joined.cohort()
    expected = Truth.of(answers.rows[mature], in_time[mature].astype(np.int8), TERMS)
    # Whoever has no label by then is legitimate, and counted as unlabelled.
    assert cohort.truth == replace(expected, unlabelled=int((mature & ~in_time).sum()))
    assert cohort.events == 3_000
    assert cohort.anomalous == int(answers.anomalous.sum())
    known = in_time & (answers.rows["time"] + answers.delays <= end)
    assert cohort.reports == count(delay_bins(answers.delays[known]))
    assert len(joined.join.waiting) == int((~mature).sum())
    assert {key[1] for key in joined.join.cohorts} == {group.model for group in GROUPS}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_neither_batches_nor_restarts_change_a_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = Answers(4, 2_000)
    times = answers.rows["time"]
    whole = JoinedAnswers().take(answers.rows, answers.labels(0, int(times[-1]) + 1))
    parts = JoinedAnswers()
    ends = [0, *sorted(rng.choice(2_000, 15, replace=False).tolist()), 2_000]
    before = 0
    for begin, end in pairwise(ends):
        batch = rng.permutation(np.arange(begin, end))
        until = int(times[end - 1]) + 1
        labels = answers.labels(before, until)
        # A batch that is taken back leaves nothing.
        parts.join.arrive(answers.rows[batch], np.zeros(len(batch), np.bool_))
        parts.join.write()
        parts.state.rollback()
        parts.restart()
        parts.take(answers.rows[batch], labels)
        before = until
    assert {key: cohort_bytes(each) for key, each in parts.join.cohorts.items()} == {
        key: cohort_bytes(each) for key, each in whole.join.cohorts.items()
    }
    assert len(parts.join.waiting) == len(whole.join.waiting)


def test_a_label_may_come_before_its_event_was_read() -> None:
    answers = Answers(5, 1_000)
    end = int(answers.rows["time"][-1]) + 1
    early = JoinedAnswers()
    early.join.hear(answers.labels(0, end), {0: 1}, {})
    early.join.write()
    early.restart()
    assert (
        early.take(answers.rows, NOTHING).cohort()
        == JoinedAnswers().take(answers.rows, answers.labels(0, end)).cohort()
    )


def test_labels_of_other_partitions_are_dropped() -> None:
    answers, others = Answers(6, 2_000), Answers(7, 40_000, per_day=2_000)
    others.rows["hash"] += np.uint64(1)
    joined, before = JoinedAnswers(), 0
    for day in range(20):
        until = START + (day + 1) * DAY
        own = (answers.rows["time"] >= before) & (answers.rows["time"] < until)
        labels = [answers.labels(before, until), others.labels(before, until)]
        joined.take(answers.rows[own], np.concatenate(labels))
        before = until
    reported = len(answers.labels(0, before))
    assert len(joined.join.labels) <= reported
    assert len(joined.join.early) < 5 * 2_000, "those of a day or two"
    alone = JoinedAnswers().take(answers.rows, answers.labels(0, before))
    assert joined.cohort() == alone.cohort()


def test_where_too_many_wait_a_share_is_kept_and_the_others_are_counted() -> None:
    answers = Answers(8, 2_500)
    joined, before = JoinedAnswers(most=300), 0
    for day in range(25):
        until = START + (day + 1) * DAY
        own = (answers.rows["time"] >= before) & (answers.rows["time"] < until)
        joined.take(answers.rows[own], answers.labels(before, until))
        assert len(joined.join.waiting) <= 300
        before = until
    cohort, rest = joined.cohort(), len(joined.join.waiting)
    assert cohort.events == 2_500
    assert cohort.shed + cohort.truth.events + rest == 2_500
    assert joined.join.waiting.halvings in (1, 2)
    whole = JoinedAnswers().take(answers.rows, answers.labels(0, before)).cohort().truth
    kept = cohort.truth
    share = sum(kept.frauds) / kept.events
    assert share == pytest.approx(sum(whole.frauds) / whole.events, abs=0.06)


def test_events_that_come_a_day_late_are_answered_but_never_mature() -> None:
    answers = Answers(9, 1_000)
    end = int(answers.rows["time"][-1]) + 1
    joined = JoinedAnswers().take(answers.rows[500:], answers.labels(0, end))
    late = answers.rows[:300]
    joined.take(late, NOTHING)
    assert joined.cohort().events == 800
    assert joined.cohort().shed == 300


def test_maturing_waits_for_labels_that_say_how_far_they_are() -> None:
    answers = Answers(10, 2_000)
    end = int(answers.rows["time"][-1])
    labels = answers.labels(0, end)
    behind = JoinedAnswers().take(answers.rows, labels, complete=[START + 10 * DAY])
    mature = int((answers.rows["time"] <= START + 3 * DAY).sum())
    assert behind.cohort().truth.events == mature
    assert behind.join.progress.watermark == START + 10 * DAY


def test_the_store_is_told_what_changed_and_which_days_are_whole() -> None:
    answers = Answers(11, 1_600)
    times = answers.rows["time"]
    joined = JoinedAnswers().take(answers.rows[:1_000], NOTHING)
    joined.join.untold.clear()
    joined.take(answers.rows[1_000:1_010], NOTHING)
    day = int(times[1_000] // DAY)
    matured = int((times[1_009] - MATURITY) // DAY)
    assert {key.day for key in joined.join.untold} == {day, matured, matured - 1}
    joined.restart()
    assert joined.join.untold == set(joined.join.cohorts), "a successor tells all of it again"


def test_old_cohorts_are_forgotten() -> None:
    answers = Answers(12, 3_000)
    joined, before = JoinedAnswers(keep=5 * DAY), 0
    for day in range(30):
        until = START + (day + 1) * DAY
        own = (answers.rows["time"] >= before) & (answers.rows["time"] < until)
        joined.take(answers.rows[own], answers.labels(before, until))
        before = until
    days = {key.day - START // DAY for key in joined.join.cohorts}
    assert min(days) == 29 - 7 - 5
    assert len(joined.state) < 100
    assert len(joined.join.labels) < 1_000


def test_what_can_not_be_read_is_counted_anew_and_leaves_others_keys_alone() -> None:
    joined = JoinedAnswers().take(Answers(13, 100).rows, NOTHING)
    for broken in (b"{", b'{"layout": "other"}'):
        entries = dict(joined.state.items()) | {PROGRESS: broken, b"drift/x": b"1"}
        join = PerformanceJoin(PartitionState(entries), TERMS, most=10, keep=DAY)
        assert (join.cohorts, len(join.waiting)) == ({}, 0)
        assert entries == {b"drift/x": b"1"}


def test_other_costs_begin_other_cohorts() -> None:
    answers = Answers(14, 2_000)
    joined = JoinedAnswers().take(answers.rows[:1_000], NOTHING)
    joined.terms = replace(TERMS, costs=None)
    joined.restart()
    joined.take(answers.rows[1_000:], NOTHING)
    terms = {key.terms for key in joined.join.cohorts}
    assert terms == {terms_of(TERMS), terms_of(joined.terms)}
    assert joined.cohort().events == 2_000
