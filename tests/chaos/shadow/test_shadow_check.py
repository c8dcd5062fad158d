"""The check of the shadow scores finds what is lost, doubled, wrong or not as the log has it."""

import io
from array import array
from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest

from tests.chaos.commander import Command
from tests.chaos.configuration import TOPICS
from tests.chaos.served import LAG_MS
from tests.chaos.shadow.check import ShadowReport, check_shadow, dead_lettered
from tests.chaos.shadow.transcript import Said, Shadowed
from tests.chaos.transcript import Answers
from tests.chaos.violations import Violations

NAMES = ("unread", "amount")
AMOUNTS = np.array([1.0, 4.5, 9.5, 2.0], np.float32)
WRITTEN = 1_000


class Times:
    """A package whose three answers are the amount times a factor."""

    names = ("amount",)

    def __init__(self, factor: float) -> None:
        self._factor = np.float32(factor)

    def answers(self, names, features):
        return [features[:, list(names).index("amount")] * self._factor] * 3

    def decide(self, policy, probability, anomaly):
        return (probability >= np.float32(0.5)).astype(np.int64)


MODELS = {"a": Times(0.1), "b": Times(0.2)}
GIVEN = {
    "shadow/first": [Command(frozenset(["a"]), 100, 100, 0)],
    "shadow/second": [
        Command(frozenset(["b"]), 100, 100, 1),
        Command(frozenset([""]), 500, 500, 2),
    ],
}


def champion(part: Answers) -> None:
    """Model a answers four events, in two records of the feature log."""
    outputs = AMOUNTS * np.float32(0.1)
    part.ids, part.offsets = array("q", [1, 2, 3, 4]), array("q", [10, 11, 13, 14])
    part.times, part.keys = array("q", [5, 6, 7, 8]), array("q", [0, 1, 0, 1])
    part.scores, part.probabilities, part.anomalies = (
        array("f", outputs.tolist()) for _ in range(3)
    )
    part.decisions = array("b", [0, 0, 1, 0])
    part.served, part.arms = [("a", "p1")] * 4, [("champion", 0.75)] * 4


@pytest.fixture
def log() -> list[Answers]:
    empty, part = Answers(), Answers()
    champion(part)
    matrix = np.stack([np.zeros(4, np.float32), AMOUNTS], axis=1)
    part.features = [(NAMES, matrix[:2]), (NAMES, matrix[2:])]
    return [empty, part]


@pytest.fixture
def shadowed() -> list[Shadowed]:
    """An honest shadow: the champion as its own candidate, and another one."""
    part = Shadowed()
    champion(part)
    part.written, part.kept = array("q", [WRITTEN] * 4), array("d", [1.0] * 4)
    for name, model, factor in (("first", "a", 0.1), ("second", "b", 0.2)):
        column = array("f", (AMOUNTS * np.float32(factor)).tolist())
        decisions = array("b", [int(each >= 0.5) for each in column])
        said = Said(part.offsets[:], part.written[:], (column, column[:], column[:]), decisions)
        part.candidates[name, model, "1"] = said
    return [Shadowed(), part]


def check(log, shadowed, dead=frozenset()) -> tuple[set[str], ShadowReport]:
    found = Violations()
    report = check_shadow(log, shadowed, set(dead), MODELS, GIVEN, found)
    return set(found.counts), report


def without(part: Shadowed, *rows: int) -> None:
    for column in ("ids", "times", "keys", "scores", "probabilities", "anomalies"):
        drop(getattr(part, column), rows)
    for column in ("decisions", "served", "arms", "written", "offsets", "kept"):
        drop(getattr(part, column), rows)
    for said in part.candidates.values():
        for column in (said.offsets, said.written, *said.outputs, said.decisions):
            drop(column, rows)


def drop(column, rows) -> None:
    for row in sorted(rows, reverse=True):
        del column[row]


def test_an_honest_shadow_passes(log, shadowed) -> None:
    kinds, report = check(log, shadowed)
    assert kinds == set()
    assert (report.events, report.scored, report.shed, report.same) == (4, 4, 0, 4)
    assert report.answers == {"first a": 4, "second b": 4}


@pytest.mark.parametrize("rows", [(1,), (2, 3), (0, 1, 2, 3)])
def test_a_lost_score_is_found(log, shadowed, rows) -> None:
    without(shadowed[1], *rows)
    assert check(log, shadowed)[0] == {"shadow: lost"}


def test_what_went_to_the_dead_letters_is_not_lost(log, shadowed) -> None:
    without(shadowed[1], 1)
    kinds, report = check(log, shadowed, {(1, 11)})
    assert (kinds, report.dead_lettered) == (set(), 1)
    assert check(log, shadowed, {(0, 11)})[0] == {"shadow: lost"}


def test_dead_letters_of_the_feature_log_name_its_events() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"offset": [10, 11]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    value = io.BytesIO(sink.getvalue().to_pybytes()).getvalue()
    headers = [("weir.topic", TOPICS["feature_log"].encode()), ("weir.partition", b"1")]
    letter = SimpleNamespace(headers=lambda: headers, value=lambda: value)
    other = SimpleNamespace(headers=lambda: [("weir.topic", b"chaos.events")], value=lambda: b"{")
    assert dead_lettered([letter, other]) == {(1, 10), (1, 11)}


def test_a_score_given_twice_is_found(log, shadowed) -> None:
    twice = deepcopy(shadowed[1])
    without(twice, 0, 1, 3)
    part = shadowed[1]
    for name in ("ids", "times", "keys", "scores", "probabilities", "anomalies", "decisions"):
        getattr(part, name).extend(getattr(twice, name))
    for name in ("served", "arms", "written", "offsets", "kept"):
        getattr(part, name).extend(getattr(twice, name))
    assert check(log, shadowed)[0] == {"shadow: doubled"}


def test_a_score_of_nothing_is_found(log, shadowed) -> None:
    shadowed[1].offsets[3] = 15
    assert check(log, shadowed)[0] == {"shadow: invented", "shadow: lost"}


def place_of(event_id: int) -> float:
    return crc32(str(event_id).encode()) / 2**32


def test_what_is_shed_is_counted_and_what_was_to_be_kept_is_lost(log, shadowed) -> None:
    part, places = shadowed[1], [place_of(each) for each in (1, 2)]
    row = int(np.argmax(places))
    other = 1 - row
    for each in range(4):
        part.kept[each] = (places[row] + places[other]) / 2 if each < 2 else 1.0
    assert check(log, shadowed)[0] == {"shadow: not shed"}
    shed = deepcopy(shadowed)
    without(shed[1], row)
    kinds, report = check(log, shed)
    assert (kinds, report.shed) == (set(), 1)
    without(shadowed[1], other)
    assert "shadow: lost" in check(log, shadowed)[0]


def test_a_record_that_was_shed_whole_goes_by_those_beside_it(log, shadowed) -> None:
    part, most = shadowed[1], max(place_of(each) for each in (1, 2))
    without(part, 2, 3)
    least = min(place_of(each) for each in (3, 4))
    part.kept = array("d", [min(least, 1.0)] * 2)
    expected = {"shadow: not shed"} if most >= least else set()
    kinds, report = check(log, shadowed)
    assert (kinds, report.shed) == (expected, 2)


def spoil_output(part: Shadowed) -> None:
    part.candidates["second", "b", "1"].outputs[0][2] += 0.01


def spoil_bits(part: Shadowed) -> None:
    column = part.candidates["first", "a", "1"].outputs[1]
    column[0] = float(np.nextafter(np.float32(column[0]), np.float32(1)))


def spoil_decision(part: Shadowed) -> None:
    part.candidates["second", "b", "1"].decisions[0] ^= 1


def spoil_policy(part: Shadowed) -> None:
    part.candidates["first", "a", "p1"] = part.candidates.pop(("first", "a", "1"))


def spoil_model(part: Shadowed) -> None:
    part.candidates["first", "b", "1"] = part.candidates.pop(("second", "b", "1"))


def answer_too_early(part: Shadowed) -> None:
    part.candidates["first", "a", "1"].written[0] = 99


def answer_too_late(part: Shadowed) -> None:
    part.candidates["second", "b", "1"].written[0] = 500 + LAG_MS + 1


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (spoil_output, {"shadow: answer is not its model's"}),
        (spoil_bits, {"shadow: other bits than the champion"}),
        (spoil_decision, {"shadow: wrong decision"}),
        (spoil_policy, {"wrong candidate"}),
        (spoil_model, {"wrong candidate"}),
        (answer_too_early, {"wrong candidate"}),
        (answer_too_late, {"wrong candidate"}),
    ],
)
def test_a_wrong_answer_is_found(
    log, shadowed, spoil: Callable[[Shadowed], None], kinds: set[str]
) -> None:
    spoil(shadowed[1])
    assert check(log, shadowed)[0] == kinds


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("ids", 9),
        ("times", 9),
        ("keys", 9),
        ("scores", 0.9),
        ("probabilities", 0.9),
        ("anomalies", 0.9),
        ("decisions", 2),
        ("served", ("b", "p1")),
        ("served", ("a", "1")),
        ("arms", ("canary", 0.75)),
        ("arms", ("champion", 0.5)),
    ],
)
def test_what_differs_from_the_feature_log_is_found(log, shadowed, column, other) -> None:
    getattr(shadowed[1], column)[2] = other
    assert check(log, shadowed)[0] == {"shadow: differs from log"}
