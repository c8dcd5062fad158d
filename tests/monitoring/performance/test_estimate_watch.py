"""Loss of performance before labels: e-values that hold, and changes that are found."""

import numpy as np
from cohort_world import COSTS, FIRST, TERMS, Day, day_of
from pydantic import TypeAdapter

from monitoring.performance.cohorts.cohort import answered_cohort
from monitoring.performance.estimate_watch import EstimateWatch, Sums
from monitoring.performance.watch import WatchTerms

WATCH = WatchTerms(baseline_frauds=100, baseline_days=5)
EVENTS = 2_000


def sums_of(day: Day) -> Sums:
    marks = np.zeros(len(day.rows), np.bool_)
    return Sums.of(answered_cohort(day.rows, marks, TERMS).answered)


def missed(day: Day, share: float) -> Day:
    """Alerts of which a share passes."""
    day.rows["decision"][np.random.default_rng(0).random(len(day.rows)) < share] = 0
    return day


def run(days: list[Day], watch: EstimateWatch | None = None) -> EstimateWatch:
    watch = EstimateWatch() if watch is None else watch
    for each in days:
        watch = watch.step(max(watch.last, FIRST - 1) + 1, sums_of(each), WATCH, COSTS)
    return watch


def quiet(seed: int, days: int, odds: float = 1.0) -> list[Day]:
    rng = np.random.default_rng(seed)
    return [day_of(rng, EVENTS, odds=odds) for _ in range(days)]


def test_sums_are_those_of_the_events() -> None:
    day = day_of(np.random.default_rng(3), EVENTS)
    rows, sums = day.rows, sums_of(day)
    p, amount = rows["probability"].astype(float), rows["amount"].astype(float)
    alert = rows["decision"] > 0
    assert np.isclose(sums.missed, p[~alert].sum())
    assert np.isclose(sums.caught_squares, (p[alert] ** 2).sum())
    paid = np.select(
        [rows["decision"] == 0, rows["decision"] == 1],
        [p * np.minimum(amount, COSTS.cap), np.full(len(p), COSTS.review)],
        (1 - p) * COSTS.friction,
    )
    assert np.isclose(sums.cost, paid.sum())
    assert np.isclose(sums.cost_squares, (paid**2).sum(), rtol=1e-4)
    assert sums.priced == EVENTS


def test_quiet_days_are_no_loss_whether_or_not_probabilities_are_off() -> None:
    """240 days."""
    for seed in range(4):
        watch = run(quiet(seed, 60, odds=1 + seed))
        assert watch.cost is not None
        assert watch.recall is not None
        assert watch.losses(WATCH) == []


def test_what_passes_is_found_within_days() -> None:
    for before in (10, 60):
        watch = run(quiet(1, before))
        first: dict[str, int] = {}
        for day in range(20):
            watch = run([missed(each, 0.6) for each in quiet(100 + day, 1)], watch)
            for loss in watch.losses(WATCH):
                first.setdefault(loss.figure, day + 1)
                assert abs(loss.since - (FIRST + before)) <= 15
        assert first["recall"] <= 8


def test_what_costs_more_is_found_within_days() -> None:
    """What passes is worth five times as much."""
    watch = run(quiet(1, 30))
    assert watch.cost is not None
    days = quiet(7, 10)
    for each in days:
        each.rows["amount"] *= 5
    found = run(days, watch).losses(WATCH)
    assert [each.figure for each in found] == ["cost"]
    assert found[0].found > found[0].limit == watch.cost


def test_it_is_over_once_all_is_as_before() -> None:
    watch = run([missed(each, 0.6) for each in quiet(3, 20)], run(quiet(2, 10)))
    assert watch.losses(WATCH)
    assert run(quiet(4, 40), watch).losses(WATCH) == []


def test_the_same_days_lead_to_the_same_bytes() -> None:
    stored = TypeAdapter(EstimateWatch)
    parts = EstimateWatch()
    for each in quiet(5, 12):
        parts = stored.validate_json(stored.dump_json(run([each], parts)))
    whole = run(quiet(5, 12))
    assert stored.dump_json(parts) == stored.dump_json(whole)
    assert whole.step(whole.last, sums_of(quiet(6, 1)[0]), WATCH, COSTS) == whole
    assert whole.step(whole.last + 1, Sums(), WATCH, COSTS) == whole, "nothing was answered"
