"""A candidate beside the champion: what counts, and what is said of it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from numpy.typing import NDArray

from inference.shadow.comparison.comparison import Comparison, Verdict, compare
from inference.shadow.comparison.maturity import KnownLabels, mature_events, read_labels
from inference.shadow.comparison.pairs import (
    Between,
    NothingToCompareError,
    Pairs,
    ReadPairs,
    read_pairs,
)
from inference.shadow.comparison.report import as_dict
from inference.shadow.comparison.settings import ComparisonSettings, CostSettings
from inference.shadow.comparison.slices import slices
from streams.events.labels import progress_header
from streams.kafka.client import KafkaSettings

DAY = 86_400_000
START = 1_700_000_000_000
COSTS = CostSettings(cap=500, friction=20, review=5)
SETTINGS = ComparisonSettings(costs=COSTS)


def pairs_of(
    champion: list[int] | NDArray[Any],
    candidate: list[int] | NDArray[Any],
    times: list[int] | None = None,
    partitions: list[int] | None = None,
    probabilities: NDArray[np.float64] | None = None,
) -> Pairs:
    count = len(champion)
    scores = np.linspace(0.01, 0.99, count) if probabilities is None else probabilities
    return Pairs(
        ids=list(range(count)),
        times=np.array(times or [START + each * 1_000 for each in range(count)], np.int64),
        partitions=np.array(partitions or [0] * count, np.int64),
        champion=np.array(champion, np.int8),
        candidate=np.array(candidate, np.int8),
        champion_probability=scores,
        candidate_probability=scores,
        amounts=np.full(count, 100.0),
        approve_through=np.zeros(count),
        let_through=np.zeros(count, np.bool_),
    )


def compared(
    pairs: Pairs, labels: KnownLabels, settings: ComparisonSettings = SETTINGS, place: int = 1
) -> Comparison:
    read = ReadPairs(Between("a", "b", "1"), pairs, {}, 0.0)
    generator = np.random.default_rng(1)
    return compare(read, labels, settings, maturity_ms=0, place=place, generator=generator)


def stream(count: int, better: float, seed: int = 1) -> tuple[Pairs, KnownLabels]:
    """Events, all labelled, a tenth of them frauds; where both differ, one is right so often."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(count) < 0.1
    differ, right = rng.random(count) < 0.3, rng.random(count) < better
    first = np.where(fraud, 2, 0)
    champion = np.where(differ & right, 2 - first, first)
    candidate = np.where(differ & ~right, 2 - first, first)
    labels = KnownLabels({row: [(START, int(fraud[row]))] for row in range(count)}, None)
    return pairs_of(champion, candidate), labels


def test_the_champion_as_its_own_candidate_gives_no_evidence_at_all() -> None:
    pairs, labels = stream(2_000, 0.5)
    same = pairs_of(pairs.champion, pairs.champion)
    found = compared(same, labels)
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
    pairs, labels = stream(4_000, better)
    found = compared(pairs, labels)
    assert found.verdict is (verdict or Verdict.INCONCLUSIVE)
    if verdict is Verdict.BETTER:
        assert found.cost is not None
        assert found.cost.interval is not None
        assert found.cost.interval[0] > 0
        assert found.frauds.only_candidate > found.frauds.only_champion
        assert found.cost.needed.labels == 0


def test_a_little_is_never_enough_however_clear() -> None:
    pairs, labels = stream(620, 1.0)
    found = compared(pairs, labels)
    assert found.cost is not None
    assert found.cost.log_better > np.log(1 / found.cost.alpha)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_later_candidate_has_to_show_more() -> None:
    pairs, labels = stream(4_000, 0.8)
    first, tenth = (compared(pairs, labels, place=place).cost for place in (1, 10))
    assert first is not None
    assert tenth is not None
    assert tenth.alpha < first.alpha / 50
    assert tenth.log_better == first.log_better


def test_the_order_of_events_changes_no_bit() -> None:
    pairs, labels = stream(3_000, 0.6)
    order = np.random.default_rng(2).permutation(len(pairs))
    shuffled = Pairs(
        [pairs.ids[row] for row in order.tolist()],
        *(getattr(pairs, name)[order] for name in list(Pairs.__dataclass_fields__)[1:-1]),
    )
    one, other = compared(pairs, labels).cost, compared(shuffled, labels).cost
    assert one is not None
    assert other is not None
    assert (one.log_better, one.log_worse, one.mean) == (
        other.log_better,
        other.log_worse,
        other.mean,
    )


def test_without_costs_there_is_no_verdict() -> None:
    pairs, labels = stream(2_000, 0.9)
    assert compared(pairs, labels, ComparisonSettings()).verdict is Verdict.NO_COSTS


def test_slices_add_up_and_the_worst_is_first() -> None:
    pairs, labels = stream(3_000, 0.5)
    rng = np.random.default_rng(4)
    shops = rng.choice(["good", "bad", ""], len(pairs)).tolist()
    fraud = np.array([labels.by_id[row][0][1] == 1 for row in range(len(pairs))])
    worse = np.where(fraud, 0, 2)
    candidate = np.where(np.array(shops) == "bad", worse, pairs.champion).astype(np.int8)
    named = replace(pairs, candidate=candidate, context={"shop": [each or None for each in shops]})
    found = compared(named, labels)
    first, *rest = slices(named, found.mature, "shop", COSTS)
    assert first.value == "bad"
    assert first.saved is not None
    assert first.saved < 0
    assert {each.value for each in rest} == {"good", None}
    assert all(each.flips == each.saved == 0 for each in rest)
    assert found.cost is not None
    assert first.saved == pytest.approx(found.cost.mean * len(named))
    for name in ("events", "mature", "frauds", "flips"):
        total = sum(getattr(each, name) for each in (first, *rest))
        assert (
            total
            == {
                "events": 3_000,
                "mature": 3_000,
                "frauds": fraud.sum(),
                "flips": (candidate != pairs.champion).sum(),
            }[name]
        )
    assert slices(named, found.mature, "shop", None)[0].value == "bad"


def test_an_event_counts_at_its_age_with_what_was_known_then() -> None:
    times = [START, START + DAY, START + 2 * DAY, START + 9 * DAY, START + 12 * DAY]
    pairs = pairs_of([0] * 5, [2] * 5, times, [0, 0, 1, 1, 0])
    labels = KnownLabels(
        {
            0: [(START + DAY, 1)],
            1: [(START + 2 * DAY, 0), (START + 6 * DAY, 1), (START + 20 * DAY, 0)],
            2: [(START + 10 * DAY, 1)],  # too late: at its age it was taken for legitimate
            3: [(START + 9 * DAY, 1)],  # early, and the event is young
        },
        None,
    )
    found = mature_events(pairs, labels, 7 * DAY, unlabelled_count=True)
    assert found.watermark == START + 9 * DAY, "the least that all partitions have reached"
    assert found.rows.tolist() == [0, 1, 2]
    assert found.frauds.tolist() == [True, True, False]
    assert (found.unlabelled, found.corrected, found.waiting) == (1, 2, 2)
    left = mature_events(pairs, labels, 7 * DAY, unlabelled_count=False)
    assert left.rows.tolist() == [0, 1]
    behind = KnownLabels(labels.by_id, START + 8 * DAY)
    assert mature_events(pairs, behind, 7 * DAY, unlabelled_count=True).rows.tolist() == [0, 1]


def test_early_reports_decide_nothing() -> None:
    """Frauds are reported within days, and the candidate is the bolder one: of equal cost."""
    rng = np.random.default_rng(5)
    count = 6_000
    fraud = rng.random(count) < 0.2
    times = [START + each * DAY // 100 for each in range(count)]
    labels = {
        row: [(times[row] + int(rng.exponential(3) * DAY), 1)] for row in np.flatnonzero(fraud)
    }
    now = times[-1]
    known = {row: said for row, said in labels.items() if said[0][0] <= now}
    young = [row for row in known if times[row] > now - 7 * DAY]
    assert len(young) > 30, "there are early reports"
    pairs = pairs_of([0] * count, [2] * count, times)
    found = mature_events(pairs, KnownLabels(known, None), 7 * DAY, unlabelled_count=True)
    assert not set(young) & set(found.rows.tolist())
    assert found.frauds.mean() == pytest.approx(0.18, abs=0.02)


def record(event_id: int, **more: Any) -> dict[str, Any]:
    said = {"model": "b", "policy": "1", "score": 0.5, "probability": 0.5, "anomaly": 0.1}
    values = {
        "event_id": event_id,
        "key": 1,
        "event_time": START + event_id,
        "partition": 0,
        "offset": event_id,
        "model": "a",
        "policy": "1",
        "arm": "champion",
        "share": 1.0,
        "propensity": 1.0,
        "score": 0.1,
        "probability": 0.1,
        "anomaly": 0.1,
        "decision": "approve",
        "fallback": False,
        "context": {"amount": 12.5},
        "kept": 1.0,
        "candidates": {"new": said | {"decision": "review"}},
    }
    return values | more


def test_what_is_no_pair_is_counted_by_why(kafka: str, make_topics: Any) -> None:
    scores, labels = make_topics("shadow-scores", "labels")
    settings = KafkaSettings(bootstrap_servers=kafka)
    producer = Producer({"bootstrap.servers": kafka})
    with pytest.raises(NothingToCompareError, match="'new' has said nothing yet"):
        read_pairs(settings, scores, "new", "amount")
    older = {"model": "old", "policy": "1", "decision": "review"}
    sent: list[bytes] = [
        json.dumps(each).encode()
        for each in (
            record(1, candidates={"new": older}),
            record(2, model="another champion"),
            record(3, fallback=True),
            record(4, candidates={"new": {"model": "b", "policy": "1", "error": "it died"}}),
            record(5, context={"amount": "much"}, kept=0.25, probability=None),
            record(6, candidates={}),
            record(7, decision="nonsense"),
            record(8),
            record(9, approve_through=0.2),
            record(10, approve_through=0.2, decision="decline"),
        )
    ]
    for value in (*sent, b"", b"{", b"\xff", b"[]", b'{"event_id": 9}'):
        producer.produce(scores, value)
    for value in (b"noise", b'{"event_id": 8, "label": 7, "time": 1}'):
        producer.produce(labels, value)
    producer.produce(labels, b'{"event_id": 8, "label": 1, "time": 5}')
    producer.produce(labels, None, headers=progress_header(START))
    assert producer.flush(30) == 0
    found = read_pairs(settings, scores, "new", "amount")
    assert found.between == Between("a", "b", "1")
    assert found.left_out == {"unreadable": 5, "earlier": 2, "fallback": 1, "error": 2}
    assert found.pairs.ids == [5, 8, 9, 10]
    assert found.pairs.champion.tolist() == [0, 0, 2, 2], "what it would have decided"
    assert found.pairs.let_through.tolist() == [False, False, True, False]
    assert found.pairs.approve_through.tolist() == [0, 0, 0.2, 0.2]
    assert np.isnan(found.pairs.amounts).tolist() == [True, False, False, False]
    assert np.isnan(found.pairs.champion_probability).tolist() == [True, False, False, False]
    assert found.shed == pytest.approx(3.0)
    known = read_labels(settings, labels)
    assert known == KnownLabels({8: [(5, 1)]}, START)
