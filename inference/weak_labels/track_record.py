"""What labels said of rules when they came: true rates, and rules that are worse than they were."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, fisher_exact  # type: ignore[import-untyped]

from inference.weak_labels.pattern_counts import FRAUD, LEGITIMATE, PatternCounts
from streams.events.label_rules import LabelRule

LEVEL = 0.01
"""Chance to call any rule that is as good as ever, over all of them."""
_LESS, _MORE = 0.75, 1.5
"""A rate has moved enough to matter where it is below, or above, so many times what it was."""


@dataclass(frozen=True)
class Rate:
    """How often a rule fires for events of one class, among those for which it does not abstain.

    Attributes:
        rate: the share; NaN where there is no event.
        low, high: 95 % interval of Clopper and Pearson.
        events: how many there are.
    """

    rate: float
    low: float
    high: float
    events: int


@dataclass(frozen=True)
class Turned:
    """A rule that has turned bad, by the labels of the recent events beside those before."""

    rule: str
    what: str
    before: float
    recent: float

    def __str__(self) -> str:
        """In words."""
        return (
            f"rule {self.rule!r} has turned bad: it fires for {self.recent:.2%} of the "
            f"{self.what} of late, and for {self.before:.2%} before"
        )


def true_rate(counts: PatternCounts, rule: int, column: int) -> Rate:
    """The rate of a rule by its place among those known to be `FRAUD` or `LEGITIMATE`."""
    fired, asked = _fired(counts, rule, column)
    if not asked:
        return Rate(float("nan"), 0.0, 1.0, 0)
    low = float(beta.ppf(0.025, fired, asked - fired + 1)) if fired else 0.0
    high = float(beta.ppf(0.975, fired + 1, asked - fired)) if fired < asked else 1.0
    return Rate(fired / asked, low, high, asked)


def turned_bad(
    rules: Sequence[LabelRule], before: PatternCounts, recent: PatternCounts
) -> list[Turned]:
    """Name the rules that find less, or cry wolf more often, than they did.

    Fisher's exact test of each of the two rates, at `LEVEL` over all of them, and only where the
    rate has moved enough to matter: among many legitimate events anything is significant.
    """
    found = []
    level = LEVEL / max(2 * len(rules), 1)
    for place, rule in enumerate(rules):
        # For what a rule speaks of it should fire often, and for the others seldom.
        for column, what in ((FRAUD, "frauds"), (LEGITIMATE, "legitimate events")):
            should_fire = (column == FRAUD) == (rule.says == "fraud")
            then, now = (_fired(counts, place, column) for counts in (before, recent))
            if not then[1] or not now[1]:
                continue
            was, is_now = then[0] / then[1], now[0] / now[1]
            matters = is_now < _LESS * was if should_fire else is_now > _MORE * was
            table = [[now[0], now[1] - now[0]], [then[0], then[1] - then[0]]]
            side = "less" if should_fire else "greater"
            if matters and fisher_exact(table, alternative=side).pvalue < level:
                found.append(Turned(rule.name, what, was, is_now))
    return found


def _fired(counts: PatternCounts, rule: int, column: int) -> tuple[int, int]:
    weight, votes = counts.counts[:, column], counts.patterns[:, rule]
    fired, asked = weight[votes == 1].sum(), weight[votes >= 0].sum()
    return int(np.rint(fired)), int(np.rint(asked))
