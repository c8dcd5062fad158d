"""What declines hide: bounds, what chance makes up for, and that verdicts hold in any case."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from joined import SETTINGS, START, Joined, Labels, Setup, compared, score
from msgspec import UNSET
from numpy.typing import NDArray

from inference.policy.policy import APPROVE, DECISIONS, DECLINE
from inference.shadow.comparison.censored import judge
from inference.shadow.comparison.comparison import CensoredCosts, CostVerdict, Verdict
from inference.shadow.comparison.report import as_dict
from inference.shadow.comparison.rows import would_be
from inference.shadow.shadow_record import CandidateScore, ShadowScore

LEFT_OUT = SETTINGS.but(unlabelled="left_out")


class World:
    """Events whose truth is known, and what of it can be seen: only frauds are reported.

    The champion declines two thirds of them, and the candidate approves half of these. A fifth of
    its declines in a lower band are let through, and one in fifty above; a part has no chance.
    """

    def __init__(
        self,
        seed: int,
        *,
        fraud_rate: float,
        count: int = 6_000,
        holdout: bool = True,
        without: float = 0.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.fraud = rng.random(count) < fraud_rate
        champion = np.where(rng.random(count) < 0.66, DECLINE, APPROVE)
        candidate = np.where((champion == DECLINE) & (rng.random(count) < 0.5), APPROVE, champion)
        share = np.where(rng.random(count) < 0.7, 0.2, 0.02)
        share = np.where((champion == DECLINE) & holdout, share, 0.0)
        share[rng.random(count) < without] = 0.0
        through = rng.random(count) < share
        self.champion, self.candidate, self.share, self.through = (
            champion,
            candidate,
            share,
            through,
        )
        self.amounts = rng.gamma(2.0, 30.0, count)
        seen = self.fraud & ((champion == APPROVE) | through)
        self.labels: Labels = {int(row): [(START, 1)] for row in np.flatnonzero(seen)}

    def scores(self, *, holdout: bool = True) -> list[ShadowScore]:
        """As the shadow writes them; without a holdout, declines are declines."""
        declined = (self.champion == DECLINE) & holdout
        became = np.where(self.through & holdout, APPROVE, self.champion)
        chances = [
            float(share) if each else UNSET
            for share, each in zip(self.share, declined.tolist(), strict=True)
        ]
        return decided(became, self.candidate, chances, self.amounts, 0.3)

    @property
    def truth(self) -> float:
        """The mean difference, as if all were known."""
        labels = {row: [(START, int(fraud))] for row, fraud in enumerate(self.fraud.tolist())}
        return of_costs(self.scores(holdout=False), labels).mean


def decided(
    champion: Sequence[int] | NDArray[Any],
    candidate: Sequence[int] | NDArray[Any],
    chances: Sequence[Any] | None = None,
    amounts: Sequence[float] | NDArray[Any] | None = None,
    probability: float = 0.25,
) -> list[ShadowScore]:
    count = len(champion)
    return [
        score(
            each,
            probability=probability,
            decision=DECISIONS[champion[each]],
            context={"amount": 100.0 if amounts is None else float(amounts[each])},
            approve_through=UNSET if chances is None else chances[each],
            candidates={"new": CandidateScore("b", "1", 0.5, 0.5, 0.1, DECISIONS[candidate[each]])},
        )
        for each in range(count)
    ]


def of_costs(
    scores: Sequence[ShadowScore], labels: Labels, settings: Setup = SETTINGS
) -> CostVerdict:
    found = compared(scores, labels, settings).cost
    assert found is not None
    return found


def told(found: CostVerdict) -> CensoredCosts:
    assert found.censored is not None
    return found.censored


def test_by_hand() -> None:
    """Four would-be declines that the candidate approves: reported, let through twice, hidden."""
    became = [DECLINE, APPROVE, APPROVE, DECLINE, APPROVE]
    scores = decided(became, [APPROVE] * 5, [0.5, 0.5, 0.5, 0.0, UNSET])
    labels: Labels = {0: [(START, 1)], 2: [(START, 1)]}
    # Of age, but not judged yet.
    joined = Joined(maturity=10**9).take(scores, labels)
    rows = joined.join.candidates["new"].waiting.rows
    assert rows["champion"].tolist() == [DECLINE] * 4 + [APPROVE]
    frauds, hidden = np.array([1, 0, 1, 0, 0], np.bool_), np.array([0, 0, 0, 1, 0], np.bool_)
    assert joined.terms.costs is not None
    found = judge(rows, frauds, hidden, joined.terms.costs).certain
    # At fraud -100, legitimate +20. The first was reported though it was declined: that is no luck
    # of the draw, and counts for nothing.
    assert found.least.tolist() == [-100, -100 + 120 / 0.5, -100, -100, 0]
    assert found.most.tolist() == [20, 20, 20 - 120 / 0.5, 20, 0]
    expected = 0.25 * -100 + 0.75 * 20
    robust = [expected, expected + (20 - expected) / 0.5, expected + (-100 - expected) / 0.5]
    assert told(of_costs(scores, labels)) == CensoredCosts(
        events=4,
        let_through=2,
        only_bounded=1,
        estimate=(pytest.approx((sum(robust) - 100) / 5), pytest.approx((sum(robust) + 20) / 5)),
        bounds=(pytest.approx((-100 + 20 - 100 - 100) / 5), pytest.approx((-180 + 20) / 5)),
    )


def test_the_naive_mean_is_wrong_and_the_estimate_is_right() -> None:
    worlds = [World(seed, fraud_rate=0.3, count=3_000) for seed in range(20)]
    errors, naive, missed = [], [], 0
    for world in worlds:
        truth, found = world.truth, of_costs(world.scores(), world.labels)
        assert told(found).only_bounded == 0
        low, high = told(found).estimate
        assert low == high == found.mean
        errors.append(found.mean - truth)
        taken = {row: [(START, int(row in world.labels))] for row in range(len(world.fraud))}
        naive.append(of_costs(world.scores(holdout=False), taken).mean - truth)
        assert found.interval is not None
        missed += not found.interval[0] <= truth <= found.interval[1]
    spread = float(np.std(errors)) / math.sqrt(len(errors))
    assert abs(np.mean(errors)) < 4 * spread
    assert np.mean(naive) > 20 * spread, "who takes the hidden for legitimate thinks it saves"
    assert missed <= 1


@pytest.mark.parametrize("holdout", [True, False])
def test_no_more_than_alpha_of_verdicts_are_false(holdout: bool) -> None:
    """A candidate that costs as much: nothing may be called, but for one world in twenty."""
    fraud_rate = 0.2505  # 20 (1 - x) = 59.8 x, with gamma amounts up to the cap of 500
    false = dict.fromkeys((Verdict.BETTER, Verdict.WORSE), 0)
    for seed in range(60):
        world = World(seed, fraud_rate=fraud_rate, count=2_000, holdout=holdout, without=0.125)
        found = of_costs(world.scores(holdout=holdout), world.labels)
        bound = math.log(1 / found.alpha)
        false[Verdict.BETTER] += found.log_better >= bound
        false[Verdict.WORSE] += found.log_worse >= bound
    assert max(false.values()) <= 4
    if not holdout:
        assert not any(false.values()), "bounds are never narrow enough"


@pytest.mark.parametrize(("fraud_rate", "verdict"), [(0.01, Verdict.BETTER), (0.9, Verdict.WORSE)])
def test_chance_finds_what_bounds_can_not(fraud_rate: float, verdict: Verdict) -> None:
    rng = np.random.default_rng(1)
    world = World(3, fraud_rate=fraud_rate, count=12_000)
    # As many further frauds as a verdict wants, on which both decide alike.
    more = np.flatnonzero((world.champion == APPROVE) & (rng.random(12_000) < 0.05))
    known = dict(world.labels) | {int(row): [(START, 1)] for row in more}
    with_it = of_costs(world.scores(), known)
    assert with_it.verdict is verdict
    without = {row: said for row, said in known.items() if not world.through[row]}
    censored = of_costs(world.scores(holdout=False), without)
    assert censored.verdict is Verdict.INCONCLUSIVE
    low, high = told(censored).bounds
    assert low < 0 < high
    assert low == told(censored).estimate[0]
    assert censored.interval is not None
    assert censored.interval[0] < low < world.truth < high < censored.interval[1]


def test_where_all_is_labelled_what_is_not_is_bounded() -> None:
    """`unlabelled = "left_out"`: declined events without a label are there nevertheless."""
    labels: Labels = {0: [(START, 0)], 2: [(START, 0)]}
    scores = decided([DECLINE, DECLINE, APPROVE, APPROVE], [APPROVE] * 4)
    found = compared(scores, labels, LEFT_OUT)
    assert found.tally.mature == 2
    assert found.cost is not None
    assert found.cost.events == 3
    assert told(found.cost).bounds == (pytest.approx((20 - 100) / 3), pytest.approx((20 + 20) / 3))
    # It was let through, and has no label yet.
    let = decided([DECLINE, *[APPROVE] * 3], [APPROVE] * 4, [0.5, 0.5, UNSET, UNSET])
    later = told(of_costs(let, labels, LEFT_OUT))
    assert (later.events, later.let_through) == (2, 0)


def test_where_no_decline_hides_anything_nothing_is_said_of_it() -> None:
    found = compared(decided([APPROVE, DECLINE, DECLINE], [DECLINE] * 3), {})
    assert found.cost is not None
    assert found.cost.censored is None
    assert as_dict(found)["cost"]["censored"] is None


def test_what_would_have_been_is_read_from_what_became_of_it() -> None:
    decisions: NDArray[np.int8] = np.array(
        [APPROVE, APPROVE, DECLINE, DECLINE, 1, APPROVE], np.int8
    )
    chances: list[Any] = [None, 0.2, 0.2, 0.0, None, 7.0]
    found = would_be(decisions, chances)
    assert found.champion.tolist() == [0, 2, 2, 2, 1, 2]
    assert found.chance.tolist() == [0, 0.2, 0.2, 0, 0, 0]
    assert found.let_through.tolist() == [False, True, False, False, False, True]
