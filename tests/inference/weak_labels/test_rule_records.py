"""What rules do without labels, what labels say of them, and who is named for having turned bad."""

import numpy as np
import pytest
from scipy.stats import binomtest

from inference.weak_labels.coverage import cover
from inference.weak_labels.pattern_counts import FRAUD, LEGITIMATE, PatternCounts
from inference.weak_labels.report import DailyCounts, report_on
from inference.weak_labels.track_record import true_rate, turned_bad
from streams.events.label_rules import LabelRule

RULES = [
    LabelRule(name="a", when=("x > 1",)),
    LabelRule(name="b", when=("y > 1",)),
    LabelRule(name="fine", when=("z > 1",), says="legitimate"),
]
DAY_MS = 86_400_000


def counts(
    rng: np.random.Generator, events: int, frauds: list[float], legitimate: list[float]
) -> PatternCounts:
    labels = (rng.random(events) < 0.02).astype(np.int8)
    rates = np.where(labels[:, None] == 1, frauds, legitimate)
    return PatternCounts.of((rng.random(rates.shape) < rates).astype(np.int8), labels)


def test_what_rules_do_is_counted() -> None:
    votes = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0], [-1, 0, 1]], np.int8)
    found = cover(RULES, PatternCounts.of(votes, np.full(4, -1, np.int8)))
    assert found.fires == {"a": 0.5, "b": 0.25, "fine": 0.5}
    assert found.abstains == {"a": 0.25, "b": 0, "fine": 0}
    assert found.fires_alone == {"a": 0, "b": 0, "fine": 0.25}
    assert (found.any_rule, found.conflict) == (0.75, 0.25)
    assert found.overlaps["a"] == {"b": 0.5, "fine": pytest.approx(1 / 3)}
    assert found.problems == []


def test_what_should_be_looked_at_is_said() -> None:
    votes = np.array([[-1, 0], [-1, 0]], np.int8)
    found = cover(RULES[:2], PatternCounts.of(votes, np.full(2, -1, np.int8)))
    few, missing, never = found.problems
    assert "2 rules are too few" in few
    assert "'a' always abstains" in missing
    assert "'b' never fires" in never
    twice = np.array([[1, 1, 1], [0, 0, 1]], np.int8)
    problems = cover(RULES, PatternCounts.of(twice, np.full(2, -1, np.int8))).problems
    assert "rule 'fine' always fires" in problems[0]
    assert "rules 'a' and 'b' fire together in 100%" in problems[1]


def test_true_rates_are_those_of_scipy() -> None:
    found = counts(np.random.default_rng(1), 5_000, [0.5, 0.1, 0], [0.01, 0.1, 0.5])
    for rule in range(3):
        for column in (FRAUD, LEGITIMATE):
            ours = true_rate(found, rule, column)
            fired = found.counts[found.patterns[:, rule] == 1, column].sum()
            theirs = binomtest(int(fired), ours.events).proportion_ci()
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
            assert ours.rate == fired / ours.events


def test_a_rule_that_is_as_good_as_ever_is_hardly_ever_named() -> None:
    rng = np.random.default_rng(2)
    rates = [0.4, 0.2, 0.1], [0.02, 0.01, 0.6]
    named = [
        turned_bad(RULES, counts(rng, 40_000, *rates), counts(rng, 10_000, *rates))
        for _ in range(100)
    ]
    assert sum(map(bool, named)) <= 3


def test_rules_that_turned_bad_are_named() -> None:
    rng = np.random.default_rng(3)
    before = counts(rng, 40_000, [0.4, 0.2, 0.1], [0.02, 0.01, 0.6])
    recent = counts(rng, 20_000, [0.1, 0.2, 0.4], [0.02, 0.05, 0.6])
    found = turned_bad(RULES, before, recent)
    assert [(each.rule, each.what) for each in found] == [
        ("a", "frauds"),
        ("b", "legitimate events"),
        ("fine", "frauds"),
    ]
    assert "rule 'b' has turned bad: it fires for 4.97% of" in str(found[1])


def test_the_report_puts_days_together() -> None:
    rng = np.random.default_rng(4)
    daily = DailyCounts(RULES)
    for day in range(40):
        good = day < 30
        frauds = [0.4 if good else 0.05, 0.2, 0.1]
        labels = (rng.random(2_000) < 0.02).astype(np.int8)
        rates = np.where(labels[:, None] == 1, frauds, [0.02, 0.01, 0.6])
        votes = (rng.random(rates.shape) < rates).astype(np.int8)
        times = np.sort(rng.integers(day * DAY_MS, (day + 1) * DAY_MS, 2_000))
        daily.add(day < 36, times, votes, labels, np.ones(2_000))
    found = report_on(daily, 6)
    assert (found.known, found.unknown) == (72_000, 8_000)
    assert found.prior == pytest.approx(0.02, rel=0.1)
    assert [each.rule for each in found.turned] == ["a"]
    assert found.useless == []
    assert found.rules[2].right > 0.99
    for each in found.rules:
        assert each.true_positive.low < each.estimated_true_positive < each.true_positive.high
