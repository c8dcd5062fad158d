"""The checker finds what is wrong: a check that cannot fail would prove nothing."""

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from tests.chaos import checker
from tests.chaos.configuration import DAY_MS, PARTITIONS, TOPICS
from tests.chaos.transcript import Answers, InputPartition, Inputs, Rejectable
from tests.chaos.violations import Violations
from tests.chaos.world import START_MS

EVENTS, LABELS = TOPICS["events"], TOPICS["labels"]
NAMES = ("amount", "shop_count_1d")


@pytest.fixture
def inputs() -> Inputs:
    """Two events of one shop in partition 0, one in partition 1, and the closing ones."""
    inputs = Inputs(
        [InputPartition() for _ in range(PARTITIONS)], [[] for _ in range(PARTITIONS)], {}, {}, {}
    )
    rows = [(0, 10, 1, 0, "a"), (0, 11, 2, 60_000, "b"), (1, 10, 3, 30_000, "c")]
    rows += [
        (partition, 20, 90 + partition, 9 * DAY_MS, f"closing-{partition}")
        for partition in range(PARTITIONS)
    ]
    for partition, offset, event_id, after, card in rows:
        part = inputs.events[partition]
        part.offsets.append(offset)
        part.ids.append(event_id)
        part.times.append(START_MS + after)
        part.cards.append(inputs.cards.setdefault(card, len(inputs.cards)))
        part.terminals.append(5)
        part.amounts.append(2.25)
        part.devices.append(-1)
    inputs.bad[EVENTS, 0, 12] = Rejectable("not_json", b"k", b"{", [("h", None)])
    return inputs


@pytest.fixture
def log(inputs: Inputs) -> list[Answers]:
    """What an honest scorer answers."""
    answers = [Answers() for _ in range(PARTITIONS)]
    seen_before = {0: [1.0, 3.0], 1: [2.0]}
    for partition, counts in seen_before.items():
        asked, part = inputs.events[partition], answers[partition]
        n = len(counts)
        part.ids, part.times = asked.ids[:n], asked.times[:n]
        part.keys, part.offsets = asked.cards[:n], asked.offsets[:n]
        part.scores = array("f", [0.5] * n)
        part.probabilities = part.anomalies = array("f", [0.25] * n)
        part.decisions, part.served = array("b", [1] * n), [("a", "1")] * n
        part.arms = [("champion", 1.0)] * n
        part.written = array("q", [START_MS] * n)
        part.late = part.approximate = array("b", [0] * n)
        part.features = [(NAMES, np.array([[2.25, count] for count in counts], np.float32))]
    return answers


def kinds(inputs: Inputs, scores: list[Answers], log: list[Answers]) -> set[str]:
    found = Violations()
    checker.check_set_and_order(inputs, scores, "scores", found)
    checker.check_offsets_in_log(inputs, log, found)
    checker.check_scores(scores, log, found)
    compared, late = checker.check_features(inputs, log, found)
    assert compared + late <= sum(len(part.offsets) for part in log)
    return set(found.counts)


def without(part: Answers, row: int) -> Answers:
    """A copy that lacks one answer."""
    columns = {
        name: values[:row] + values[row + 1 :]
        for name, values in vars(part).items()
        if name != "features"
    }
    (names, matrix), *_ = part.features
    return Answers(**columns, features=[(names, np.delete(matrix, row, axis=0))])


def test_an_honest_scorer_passes(inputs, log) -> None:
    assert kinds(inputs, log, log) == set()


def test_a_lost_answer_is_found(inputs, log) -> None:
    assert kinds(inputs, [without(log[0], 1), *log[1:]], log) == {"lost"}
    assert kinds(inputs, log, [without(log[0], 0), *log[1:]]) == {"lost"}


def test_an_answer_given_twice_is_found(inputs, log) -> None:
    twice = Answers(**{name: values + values[:1] for name, values in vars(log[1]).items()})
    assert kinds(inputs, [log[0], twice, *log[2:]], log) == {"duplicated"}
    assert kinds(inputs, log, [log[0], twice, *log[2:]]) == {"duplicated"}


def test_an_answer_to_nothing_is_found(inputs, log) -> None:
    inputs.events[1] = InputPartition()
    assert "invented" in kinds(inputs, log, log)


def test_answers_of_one_key_out_of_order_are_found(inputs, log) -> None:
    card = inputs.events[0].cards[0]
    inputs.events[0].cards[1] = card
    log[0].keys = array("q", [card, card])
    assert kinds(inputs, log, log) == set()
    scores = [Answers(**vars(log[0])), *log[1:]]
    scores[0].ids, scores[0].times = log[0].ids[::-1], log[0].times[::-1]
    assert "order" in kinds(inputs, scores, log)


def test_a_partition_out_of_order_is_found(inputs, log) -> None:
    """Two keys: each of them in order, the partition is not."""
    for column in ("ids", "times", "keys", "offsets"):
        setattr(log[0], column, getattr(log[0], column)[::-1])
    names, matrix = log[0].features[0]
    log[0].features[0] = (names, matrix[::-1])
    assert kinds(inputs, log, log) == {"order"}


def test_a_wrong_feature_is_found(inputs, log) -> None:
    log[0].features[0][1][1, 1] = 2.0  # forgot the event of the other partition
    assert kinds(inputs, log, log) == {"wrong feature"}


def test_a_score_that_differs_from_the_log_is_found(inputs, log) -> None:
    scores = [Answers(**vars(log[0])), *log[1:]]
    scores[0].scores = array("f", [0.5, np.nextafter(np.float32(0.5), np.float32(1))])
    assert kinds(inputs, scores, log) == {"scores differ from log"}


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("probabilities", array("f", [0.25, 0.26])),
        ("anomalies", array("f", [0.26, 0.25])),
        ("decisions", array("b", [1, 2])),
        ("served", [("a", "1"), ("b", "1")]),
        ("served", [("a", "2"), ("a", "1")]),
        ("arms", [("champion", 1.0), ("canary", 1.0)]),
        ("arms", [("champion", 1.0), ("champion", 0.5)]),
    ],
)
def test_whatever_else_differs_from_the_log_is_found(inputs, log, column, other) -> None:
    scores = [Answers(**vars(log[0])), *log[1:]]
    setattr(scores[0], column, other)
    assert kinds(inputs, scores, log) == {"scores differ from log"}


@pytest.mark.parametrize("flag", ["late", "approximate"])
def test_a_flag_without_a_reason_is_found(inputs, log, flag) -> None:
    setattr(log[0], flag, array("b", [0, 1]))
    assert kinds(inputs, log, log) == {"wrong flag"}


@pytest.mark.parametrize(("offset", "right"), [(11, False), (13, True), (20, True), (21, False)])
def test_committed_offsets_stand_between_the_last_record_and_the_closing_one(
    inputs, offset, right
) -> None:
    found = Violations()
    committed = {(EVENTS, partition): 20 for partition in range(PARTITIONS)}
    checker.check_committed(inputs, committed | {(EVENTS, 0): offset}, found)
    assert bool(found) is not right


def test_the_group_that_routes_stands_at_the_end() -> None:
    found = Violations()
    ends = {(EVENTS, 0): 7, (LABELS, 0): 3}
    checker.check_all_committed(dict(ends), ends, found)
    assert not found
    checker.check_all_committed(ends | {(LABELS, 0): 2}, ends, found)
    assert found.counts == {"committed offset": 1}


def letter(**changes):
    own = {"reason": "not_json", "topic": EVENTS, "partition": "0", "offset": "12"}
    own |= {name: value for name, value in changes.items() if name != "value"}
    headers = [(f"weir.{name}", text.encode()) for name, text in own.items()]
    content = (b"k", changes.get("value", b"{"), [*headers, ("h", None)])
    key, value, headers = (lambda each=each: each for each in content)
    return SimpleNamespace(key=key, value=value, headers=headers)


@pytest.mark.parametrize(
    ("letters", "kind"),
    [
        ([letter()], None),
        ([], "lost dead letter"),
        ([letter(), letter()], "duplicated dead letter"),
        ([letter(reason="empty")], "dead letter's reason"),
        ([letter(value=b"{}")], "dead letter's content"),
        ([letter(), letter(offset="11")], "invented dead letter"),
    ],
)
def test_dead_letters_are_complete(inputs, letters, kind) -> None:
    found = Violations()
    checker.check_dead_letters(inputs, letters, found)
    assert set(found.counts) == ({kind} if kind else set())


def test_a_broker_that_lost_input_is_found(inputs) -> None:
    found = Violations()
    inputs.count[LABELS, 0] = 4
    checker.check_inputs(inputs, {(LABELS, 0): 5}, found)
    assert set(found.counts) == {"input changed"}
