"""Would-be declines that are approved on purpose: whose, how many, and for how much a day."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import time
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from scorer_desk import START, TOPICS, Desk, work_of

from inference.approve_through.approve_through import ApproveThrough
from inference.approve_through.metrics import ApproveThroughMetrics
from inference.approve_through.note_reader import Noted, last_note
from inference.approve_through.settings import ApproveThroughSettings
from inference.approve_through.spending import DAY_MS, Spending
from inference.packages.package import ModelPackage
from streams.feature_log import approve_through_of, read_feature_log
from streams.intake.input_batch import InputBatch
from streams.kafka.client import KafkaSettings
from streams.transactions.outcome import Committed, Outgoing

BANDS = [{"width": 0.05, "share": 0.4}, {"share": 0.1}]
SALT = "a salt of sixteen"
DAY_BEFORE = START // DAY_MS - 1


def settings(budget: float, **more: Any) -> ApproveThroughSettings:
    values = {"bands": BANDS, "daily_budget": budget, "salt": SALT} | more
    return ApproveThroughSettings.model_validate(values)


class Through(Desk):
    """A scorer that would decline what has at least this probability, and approves some of it."""

    def __init__(
        self,
        model: ModelPackage,
        budget: float = 1e9,
        read_note: Callable[[int, int], Noted] = lambda *_: Noted(Spending(DAY_BEFORE, 0.0), 3),
        bands: Sequence[dict[str, float]] = BANDS,
        decline: float = 0.0,
        **policy: Any,
    ) -> None:
        self.counts = CollectorRegistry()
        said = settings(budget, bands=bands)
        through = ApproveThrough(said, read_note, ApproveThroughMetrics(self.counts))
        bounds = {"decline_probability": decline, "review_probability": decline}
        super().__init__(model, approve_through=through, **bounds, **policy)


def scores_of(sent: dict[str, Outgoing]) -> list[dict[str, Any]]:
    return [json.loads(value or b"") for value in sent[TOPICS.scores].values]


def log_of(sent: dict[str, Outgoing]) -> list[dict[str, Any]]:
    return [
        row | {"chance": chance, "partition": partition}
        for value, partition in zip(
            sent[TOPICS.feature_log].values, sent[TOPICS.feature_log].partitions, strict=True
        )
        for table in [read_feature_log(value or b"")]
        for row, chance in zip(table.to_pylist(), approve_through_of(table), strict=True)
    ]


def small(number: int) -> float:
    return 1.5 * (number % 101)


def test_shares_go_by_the_band_and_the_record_says_them(model: ModelPackage) -> None:
    work = work_of(2_000, amount=small)
    plain = [score["probability"] for score in scores_of(Desk(model).process(work))]
    decline, middle = np.quantile(plain, [0.3, 0.7])
    bands = [{"width": middle - decline, "share": 0.4}, {"share": 0.1}]
    desk = Through(model, bands=bands, decline=decline)
    answers = desk.answer(work)
    sent = {each.topic: each for each in answers.outgoing}
    of_band: dict[float, list[bool]] = {0.4: [], 0.1: []}
    for score in scores_of(sent):
        excess = score["probability"] - float(np.float32(decline))
        if excess < 0:
            assert (score["decision"], "approve_through" in score) == ("approve", False)
        elif int(score["event_id"][1:]) % 7 == 0:
            assert (score["decision"], score["approve_through"]) == ("decline", 0), "no amount"
        else:
            share = 0.4 if excess < middle - decline else 0.1
            assert score["approve_through"] == share
            of_band[share].append(score["decision"] == "approve")
            assert score["decision"] in ("approve", "decline")
    for share, through in of_band.items():
        assert len(through) > 100
        assert np.mean(through) == pytest.approx(share, abs=4 * (0.25 / len(through)) ** 0.5)
    by_id = {score["event_id"]: score for score in scores_of(sent)}
    for row in log_of(sent):
        score, chance = by_id[row["event_id"]], row["chance"]
        assert (score["decision"], score.get("approve_through")) == (row["decision"], chance)
        let = row["decision"] == "approve"
        done = 1.0 if chance is None else chance if let else 1 - chance
        assert row["propensity"] == pytest.approx(done)
        assert row["share"] == 1.0

    registry = desk.counts
    counted = partial(registry.get_sample_value, "weir_approve_through_events_total")
    assert counted({"outcome": "let_through"}) == 0, "nothing is visible yet"
    answers.when_visible(Committed(0.0, 0.0))
    let_through = [score for score in by_id.values() if is_let_through(score)]
    amounts = sum(small(int(score["event_id"][1:])) for score in let_through)
    assert counted({"outcome": "let_through"}) == len(let_through)
    assert counted({"outcome": "no_amount"}) > 0
    assert registry.get_sample_value("weir_approve_through_amount_total") == pytest.approx(amounts)
    # Each partition has a third, and is on the day after the first of the two.
    last_day = START + 60_000 * 1_999
    spent = sum(
        small(int(score["event_id"][1:]))
        for score in let_through
        if score["event_time"] // DAY_MS == last_day // DAY_MS
    )
    left = registry.get_sample_value("weir_approve_through_budget_left")
    assert left == pytest.approx(1e9 - spent)


def is_let_through(score: dict[str, Any]) -> bool:
    return "approve_through" in score and score["decision"] == "approve"


def test_off_nothing_changes(model: ModelPackage) -> None:
    sent = Desk(model, decline_probability=0.0, review_probability=0.0).process(work_of(50))
    assert {score["decision"] for score in scores_of(sent)} == {"decline"}
    assert not any("approve_through" in score for score in scores_of(sent))
    for value in sent[TOPICS.feature_log].values:
        table = read_feature_log(value or b"")
        assert "approve_through" not in table.column_names
        assert b"weir.approve_through" not in table.schema.metadata
        assert approve_through_of(table) == [None] * table.num_rows


def test_the_salt_and_the_id_decide_alone(model: ModelPackage) -> None:
    work = work_of(400)
    one, again = (scores_of(Through(model).process(work)) for _ in range(2))
    assert list(map(is_let_through, one)) == list(map(is_let_through, again))
    halves = Through(model)
    split = [
        score
        for part in (work_of(150), work_of(250, first=150))
        for score in scores_of(halves.process(part))
    ]
    assert list(map(is_let_through, one)) == list(map(is_let_through, split))


def test_the_fallback_s_declines_are_what_they_are(model: ModelPackage) -> None:
    desk = Through(model, deadline="1ms", fallback="decline")
    now = round(time() * 1e3)
    # One batch in a while goes to the model although it is too late.
    for work in (work_of(40), work_of(40, first=40)):
        scores = scores_of(desk.process(replace(work, arrived=np.full(40, now - 1_000))))
    for score in scores:
        assert (score["decision"], score["fallback"]) == ("decline", "deadline")
        assert "approve_through" not in score


def check_budget(rows: list[dict[str, Any]], per_partition: float) -> Counter[tuple[int, int]]:
    """What was let through by partition and day, which is never more than it may be."""
    spent: Counter[tuple[int, int]] = Counter()
    for row in rows:
        if row["chance"] is not None and row["decision"] == "approve":
            day = int(row["event_time"].timestamp() * 1e3) // DAY_MS
            spent[row["partition"], day] += row["context"]["amount"]
    assert max(spent.values()) <= per_partition
    return spent


def test_a_day_s_budget_is_never_exceeded_and_the_next_day_has_another(model: ModelPackage) -> None:
    desk = Through(model, 240_000)
    rows = [
        row
        for first in range(0, 4_000, 100)
        for row in log_of(desk.process(work_of(100, first=first)))
    ]
    spent = check_budget(rows, 80_000)
    days = {START // DAY_MS + day for day in (1, 2)}
    assert spent.keys() >= {(partition, day) for partition in range(3) for day in days}
    for row in rows:
        amount = row["context"]["amount"]
        assert (row["chance"] == 0) or amount is not None
        if amount is not None and amount > 80_000:
            assert row["chance"] == 0
    # Towards the end of a day there is no chance any more; on the morning after there is.
    chances = [row["chance"] for row in sorted(rows, key=lambda row: row["event_time"])]
    midnight = next(
        i for i in range(4_000) if (START + 60_000 * i) // DAY_MS == START // DAY_MS + 2
    )
    assert not any(chances[midnight - 20 : midnight])
    assert any(chances[midnight : midnight + 20])


def test_an_event_of_a_day_that_is_over_has_no_chance(model: ModelPackage) -> None:
    desk = Through(model)
    desk.process(work_of(10, first=1_440))
    earlier = replace(work_of(10), offsets=work_of(10, first=1_450).offsets)
    assert {score["approve_through"] for score in scores_of(desk.process(earlier))} == {0}


def unreachable(partition: int, before: int) -> Noted:
    raise KafkaException(KafkaError(KafkaError._TRANSPORT))


def test_while_nobody_can_say_what_was_spent_nothing_is(model: ModelPackage) -> None:
    desk = Through(model, read_note=unreachable)
    sent = desk.process(work_of(50))
    assert {score["approve_through"] for score in scores_of(sent)} == {0}
    for value in sent[TOPICS.feature_log].values:
        # A note would say that it is known.
        metadata = read_feature_log(value or b"").schema.metadata
        assert b"weir.approve_through" not in metadata


BATCH = 120


def test_killed_and_aborted_at_any_moment_it_decides_as_if_nothing_had_been(
    model: ModelPackage, kafka: str, make_topics: Callable[..., list[str]]
) -> None:
    """Partitions change hands, batches are taken back, transactions aborted, answers of them seen.

    What was let through is read from the real feature log, records of aborted transactions too.
    """
    (topic,) = make_topics("feature-log", partitions=3)
    read_note = partial(last_note, KafkaSettings(bootstrap_servers=kafka), topic)
    empty = Through(model, 240_000, lambda *_: Noted(Spending(), 3))
    works = [work_of(BATCH, first=first) for first in range(0, 2_400, BATCH)]
    expected = [log_of(empty.process(work)) for work in works]
    check_budget([row for rows in expected for row in rows], 80_000)
    first_day = [row for row in expected[0] if row["chance"]]
    assert not first_day, "nobody knows what went before: it begins with the next day"

    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(30)
    rng = np.random.default_rng(1)
    desk, place, seen = Through(model, 240_000, read_note), 0, []
    while place < len(works):
        what = rng.choice(["commit", "commit", "commit", "abort", "lost", "restart"])
        sent = desk.process(works[place])
        if what == "lost":  # computed, and never sent
            continue
        # At times the batch after it is computed before this one's end is known.
        ahead = place + 1 < len(works) and rng.random() < 0.2
        if ahead:
            desk.process(works[place + 1])
        send(producer, topic, sent, commit=what != "abort")
        if what != "abort":
            seen.append(log_of(sent))
            place += 1
        if what == "restart":
            desk = Through(model, 240_000, read_note)
    assert decided(seen) == decided(expected)


def send(producer: Producer, topic: str, sent: dict[str, Outgoing], *, commit: bool) -> None:
    log = sent[TOPICS.feature_log]
    producer.begin_transaction()
    for value, partition in zip(log.values, log.partitions, strict=True):
        producer.produce(topic, value, partition=partition)
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def decided(batches: list[list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    return [(row["event_id"], row["decision"], row["chance"]) for rows in batches for row in rows]


def test_a_partition_that_comes_back_asks_again(model: ModelPackage) -> None:
    """Another worker has had it meanwhile, and has spent all."""
    noted = {"spent": 0.0}
    today = START // DAY_MS

    def read_note(partition: int, before: int) -> Noted:
        return Noted(Spending(today, noted["spent"]), 3)

    desk = Through(model, 3e9, read_note)
    assert any(score["approve_through"] for score in scores_of(desk.process(work_of(50))))
    noted["spent"] = 1e9
    assert any(score["approve_through"] for score in scores_of(desk.process(work_of(50, first=50))))
    desk.scorer._answerer.forget(1)
    after: InputBatch = work_of(50, first=100)
    scores = scores_of(desk.process(after))
    of_partition = {
        partition: {
            score["approve_through"]
            for score, own in zip(scores, after.partitions, strict=True)
            if own == partition
        }
        for partition in range(3)
    }
    assert of_partition[1] == {0}
    assert any(of_partition[0])
    assert any(of_partition[2])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bands": [{"share": 0.1}, {"share": 0.2}]}, "each band but the last one"),
        ({"bands": []}, "at least 1 item"),
        ({"bands": [{"share": 1.0}]}, "less than 1"),
        ({"salt": "short"}, "at least 16"),
        ({"daily_budget": 0}, "greater than 0"),
    ],
)
def test_settings_that_can_not_be_meant_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(1.0, **wrong) if "daily_budget" not in wrong else settings(0)
