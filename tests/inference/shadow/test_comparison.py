"""A candidate beside the champion: what is said of it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from joined import COSTS, DAY, SETTINGS, START, Joined, Labels, compared, score, scores_of
from numpy.typing import NDArray

from inference.evaluation.metrics import card_precision_at_k, expected_calibration_error
from inference.policy.costs import CostSettings
from inference.shadow.comparison.comparison import Verdict
from inference.shadow.comparison.report import as_dict
from inference.shadow.shadow_record import CandidateScore


def stream(
    count: int, better: float, seed: int = 1
) -> tuple[NDArray[Any], NDArray[Any], Labels, NDArray[Any]]:
    """Events, all labelled, a tenth of them frauds; where both differ, so often one is right."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(count) < 0.1
    differ, right = rng.random(count) < 0.3, rng.random(count) < better
    first = np.where(fraud, 2, 0)
    champion = np.where(differ & right, 2 - first, first)
    candidate = np.where(differ & ~right, 2 - first, first)
    labels = {row: [(START, int(each))] for row, each in enumerate(fraud.tolist())}
    return champion, candidate, labels, fraud


def test_the_champion_as_its_own_candidate_gives_no_evidence_at_all() -> None:
    champion, _, labels, _ = stream(2_000, 0.5)
    found = compared(scores_of(champion, champion), labels)
    assert found.cost is not None
    assert (found.cost.log_better, found.cost.log_worse, found.cost.mean) == (0.0, 0.0, 0.0)
    assert found.verdict is Verdict.INCONCLUSIVE
    told = as_dict(found)
    assert told["flips"]["review"] == {"champion_only": 0, "candidate_only": 0}
    assert told["recall"]["log_better"] <= 0
    assert told["average_precision"]["champion"] == told["average_precision"]["candidate"]
    json.dumps(told)


@pytest.mark.parametrize(
    ("better", "verdict"), [(0.8, Verdict.BETTER), (0.2, Verdict.WORSE), (0.5, None)]
)
def test_who_is_better_is_found(better: float, verdict: Verdict | None) -> None:
    champion, candidate, labels, _ = stream(4_000, better)
    found = compared(scores_of(champion, candidate), labels)
    assert found.verdict is (verdict or Verdict.INCONCLUSIVE)
    if verdict is Verdict.BETTER:
        assert found.cost is not None
        assert found.cost.interval is not None
        assert found.cost.interval[0] > 0
        assert found.tally.frauds.only_candidate > found.tally.frauds.only_champion
        assert found.cost.needed.labels == 0


def test_a_little_is_never_enough_however_clear() -> None:
    champion, candidate, labels, _ = stream(620, 1.0)
    found = compared(scores_of(champion, candidate), labels)
    assert found.cost is not None
    assert found.cost.log_better > np.log(1 / found.cost.alpha)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_later_candidate_has_to_show_more() -> None:
    champion, candidate, labels, _ = stream(4_000, 0.8)
    scores = scores_of(champion, candidate)
    first, tenth = (compared(scores, labels, place=place).cost for place in (1, 10))
    assert first is not None
    assert tenth is not None
    assert tenth.alpha < first.alpha / 50
    assert tenth.log_better == first.log_better


def test_without_costs_there_is_no_verdict() -> None:
    champion, candidate, labels, _ = stream(2_000, 0.9)
    found = compared(scores_of(champion, candidate), labels, SETTINGS._replace(costs=None))
    assert found.verdict is Verdict.NO_COSTS


def test_how_many_labels_it_still_takes_and_until_when() -> None:
    champion, candidate, labels, _ = stream(4_000, 0.545, seed=3)
    times = [START + each * DAY // 100 for each in range(4_000)]
    late = {row: [(times[row] + DAY, said[0][1])] for row, said in labels.items()}
    found = Joined(maturity=7 * DAY).take(scores_of(champion, candidate, times), late).compared()
    cost, watermark = found.cost, found.gathered.watermark
    assert cost is not None
    assert watermark == times[-1]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert cost.needed.labels is not None
    assert cost.needed.low is not None
    assert cost.needed.low <= cost.needed.labels
    assert cost.needed_by is not None
    # 100 events become mature in a day.
    expected = cost.needed.labels / 100 * DAY
    assert cost.needed_by - watermark == pytest.approx(expected, rel=0.02, abs=DAY / 10)


def test_slices_add_up_and_the_worst_is_first() -> None:
    champion, _, labels, fraud = stream(3_000, 0.5)
    rng = np.random.default_rng(4)
    shops = rng.choice(["good", "bad", ""], len(champion)).tolist()
    candidate = np.where(np.array(shops) == "bad", np.where(fraud, 0, 2), champion)
    context = [{"shop": each or None} for each in shops]
    settings = SETTINGS.but(slice_by=["shop"])
    found = compared(scores_of(champion, candidate, context=context), labels, settings)
    first, *rest = as_dict(found)["slices"]["shop"]
    assert first["value"] == "bad"
    assert first["saved"] < 0
    assert {each["value"] for each in rest} == {"good", None}
    assert all(each["flips"] == each["saved"] == 0 for each in rest)
    assert found.cost is not None
    assert first["saved"] == pytest.approx(found.cost.mean * len(champion), abs=1e-3)
    totals = {
        "events": 3_000,
        "mature": 3_000,
        "frauds": fraud.sum(),
        "flips": (candidate != champion).sum(),
    }
    for name, total in totals.items():
        assert sum(each[name] for each in (first, *rest)) == total
    without = settings._replace(costs=None)
    told = as_dict(compared(scores_of(champion, candidate, context=context), labels, without))
    assert told["slices"]["shop"][0]["value"] == "bad"
    assert told["slices"]["shop"][0]["saved"] is None


def test_of_many_values_of_a_field_some_are_one_slice() -> None:
    settings = SETTINGS.but(slice_by=["shop"])
    context: list[dict[str, Any]] = [{"shop": each % 1_500} for each in range(3_000)]
    found = as_dict(compared(scores_of([0] * 3_000, [1] * 3_000, context=context), {}, settings))
    assert len(found["slices"]["shop"]) == 50, "of those that are told"
    worst = found["slices"]["shop"][0]
    assert (worst["value"], worst["events"]) == ("(other values)", 1_000)
    assert worst["mature"] == 1_000


def test_how_alike_they_were_in_the_last_days() -> None:
    times = [START + day * DAY for day in range(20) for _ in range(10)]
    candidate = [0] * 190 + [2] * 10
    told = as_dict(compared(scores_of([0] * 200, candidate, times), {}))
    assert told["flips"]["decline"]["candidate_only"] == 10
    assert told["decisions"]["approve"]["approve"] == 190
    recent = told["recent"]
    assert (recent["days"], recent["flips"]["decline"]["candidate_only"]) == (7, 10)
    assert recent["decisions"]["approve"]["approve"] == 60


def test_calibration_and_card_precision_are_those_of_all_events() -> None:
    rng = np.random.default_rng(3)
    count = 900
    probability, other = rng.random((2, count)).astype(np.float32).astype(float)
    fraud = rng.random(count) < probability
    times = [START + each * DAY // 300 for each in range(count)]
    scores = [
        score(
            each,
            key=f"card {each % 40}",
            event_time=times[each],
            probability=probability[each],
            candidates={"new": CandidateScore("b", "1", 0.5, other[each], 0.1, "review")},
        )
        for each in range(count)
    ]
    labels = {each: [(times[each], int(fraud[each]))] for each in range(count)}
    told = as_dict(compared(scores, labels, SETTINGS.but(cards_per_day=5)))
    days, keys = np.array(times) // DAY, np.arange(count) % 40
    for name, said in (("champion", probability), ("candidate", other)):
        found = told["calibration"][name]
        assert found["brier"] == pytest.approx(np.mean((said - fraud) ** 2))
        assert found["error"] == pytest.approx(expected_calibration_error(fraud, said))
        expected = card_precision_at_k(days, keys, fraud, said, 5)
        assert told["card_precision"][name] == pytest.approx(expected)
    assert (
        told["calibration"]["champion"]["error"] < 0.1 < told["calibration"]["candidate"]["error"]
    )


def test_an_amount_that_is_none_leaves_the_event_out_of_costs_alone() -> None:
    scores = [score(each, context={"amount": "much"} if each % 2 else {}) for each in range(10)]
    found = compared([*scores, score(10, context={"amount": True}), score(11)], {})
    assert found.cost is not None
    assert (found.cost.events, found.cost.without_amount, found.tally.mature) == (1, 11, 12)


@pytest.mark.parametrize("amount", [10**30, -(10**400), 1e300, -1e303, float("inf")])
def test_an_amount_beyond_all_money_is_none(amount: float) -> None:
    """An event may hold anything that is a number in JSON."""
    huge = [score(each, context={"amount": amount}) for each in range(20)]
    told = as_dict(compared([*huge, score(20)], {}))
    assert (told["cost"]["events"], told["cost"]["without_amount"], told["mature"]) == (1, 20, 21)
    assert told["amounts"]["approve"]["review"] == 100.0


def test_a_margin_that_no_candidate_can_miss_is_refused() -> None:
    with pytest.raises(ValueError, match=r"margin = 500 is what no decision can cost more"):
        CostSettings(cap=500, friction=20, review=5, margin=500)
    costs = CostSettings(cap=500, friction=20, review=5, margin=499)
    champion, candidate, labels, _ = stream(600, 0.5)
    found = compared(scores_of(champion, candidate), labels, SETTINGS._replace(costs=costs)).cost
    assert found is not None
    assert found.log_no_worse > found.log_better


def test_costs_that_change_make_other_terms() -> None:
    dearer = SETTINGS._replace(costs=COSTS.model_copy(update={"cap": 501.0}))
    kept = replace(Joined(SETTINGS).terms, most_waiting=5_000)
    assert Joined(dearer).terms.digest != Joined(SETTINGS).terms.digest == kept.digest
