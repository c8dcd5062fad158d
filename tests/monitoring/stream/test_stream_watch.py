"""What happens to the stream itself is said once, and so is its end, whoever is killed."""

from collections.abc import Callable, Iterator
from itertools import zip_longest

import numpy as np
import pytest
from monitored import BOUND, STEP_MS, T0, Drift, Record, counted, records, rows

from monitoring.counting.cell_counts import ENCODE, EpisodeAct, LetterCounts, StreamCounts
from monitoring.episodes.episode import Episode

HOUR = 3_600_000
AN_HOUR = HOUR // STEP_MS
CALM, EVENTS = 8 * AN_HOUR, 12 * AN_HOUR
FAULT = slice(CALM, CALM + AN_HOUR)
KEYS = [f"card {place}" for place in range(401)]


def _partitions(change: Callable[[int, np.ndarray], None] | None = None) -> list[list[Record]]:
    found = []
    for partition in (0, 1):
        values = rows(np.random.default_rng([4, partition]), EVENTS)
        if change is not None:
            change(partition, values)
        found.append(records(values, partition=partition, keys=KEYS))
    return found


def _merged(partitions: list[list[Record]]) -> list[Record]:
    return [each for pair in zip_longest(*partitions) for each in pair if each is not None]


def _silent_partition() -> list[Record]:
    first, second = _partitions()
    gone = set(range(FAULT.start // 25, FAULT.stop // 25))
    rest = [each if place not in gone else None for place, each in enumerate(second)]
    return counted(_merged([first, rest]))  # type: ignore[list-item]


def _crowd() -> list[Record]:
    def change(partition: int, values: np.ndarray) -> None:
        values[FAULT][::4, 0] = BOUND - 0.5

    return counted(_merged(_partitions(change)))


def _variations() -> list[Record]:
    first, second = _partitions()
    values = rows(np.random.default_rng(6), 200)
    values[:, 0] = 100 + np.random.default_rng(7).uniform(0, 5, 200)
    own = records(values, first=T0 + CALM * STEP_MS, partition=1, keys=["thief"])
    place = CALM // 25
    second[place : place + len(own)] = own
    return counted(_merged([first, second]))


def _letters() -> Iterator[Record]:
    """A hundredth of the records of one producer, and ten times that for a while."""
    for place in range(0, EVENTS * STEP_MS, 10_000):
        letters = {"4.2": int(FAULT.start <= place // STEP_MS < FAULT.stop), "4.1": 0}
        if not place % 600_000:
            letters["4.1"] = 1
        counts = LetterCounts(0, T0 + place, {"wrong_type of amount": letters})
        yield Record(ENCODE(counts))
        by = {"4.1": 50, "4.2": 10}
        yield Record(ENCODE(StreamCounts(0, T0 + place // 60_000 * 60_000, T0 + place, 60, by)))


PROVOCATIONS = {
    "silent_partition": (_silent_partition, "data_breakage", "partition 1 has been silent"),
    "crowd": (_crowd, "adversary", "amount < 40"),
    "variations": (_variations, "adversary", "of one key are small variations"),
    "schema": (lambda: list(_letters()), "data_breakage", "are rejected as wrong_type of amount"),
}


@pytest.mark.parametrize("kind", PROVOCATIONS)
def test_it_is_said_once_and_so_is_its_end(kind: str) -> None:
    make, of, words = PROVOCATIONS[kind]
    counts = make()
    steady = Drift()
    for each in counts:
        steady.take([each])
    own = [each for each in steady.said if each.model == "all"]
    states = [each.state for each in own]
    assert states == ["open", *["open"][: kind == "schema"], "closed"], (
        "whose it is, is known later"
    )
    first, last = own[0], own[-1]
    assert (first.kind, first.severity) == (of, "page" if of == "data_breakage" else "warning")
    (feature,) = first.features
    assert feature.kind == kind
    assert words in feature.words
    assert last.features[0].producer == ("4.2" if kind == "schema" else None)
    began = T0 + CALM * STEP_MS
    assert began - 600_000 <= first.began <= began + 1_200_000
    assert first.found <= began + HOUR // 2
    assert last.id == first.id
    assert began + HOUR <= (last.ended or 0) + HOUR // 2
    killed = _killed_often(counts)
    assert {each.id: each for each in killed.said} == {each.id: each for each in steady.said}
    assert dict(killed.state.of(0).items()) == dict(steady.state.of(0).items())


def _killed_often(counts: list[Record]) -> Drift:
    drift = Drift()
    drift.take_and_be_killed(counts, seed=1, most=60, chance=0.2)
    return drift


def test_a_quiet_stream_says_nothing() -> None:
    drift = Drift()
    drift.take(counted(_merged(_partitions())))
    assert drift.said == []


def test_who_closes_a_silence_says_that_it_is_for_good() -> None:
    drift, counts = Drift(), _silent_partition()
    said: list[Episode] = []
    for place in range(0, len(counts), 20):
        drift.take(counts[place : place + 20])
        if not said and drift.said:
            said += drift.said
            for deed in ("acknowledge", "close"):
                act = EpisodeAct(said[0].id, deed, "ada", "moved", T0)  # type: ignore[arg-type]
                drift.take([Record(ENCODE(act))])
    own = [(each.state, each.acknowledged_by) for each in drift.said]
    assert own == [("open", None), ("open", "ada"), ("closed", "ada")]


def test_letters_from_before_the_first_events_are_no_burst() -> None:
    drift = Drift()
    for place in range(60):
        at = T0 - HOUR + place * 10_000
        drift.take([Record(ENCODE(LetterCounts(0, at, {"not_json": {"": 50}})))])
    for place in range(60):
        at = T0 + place * 10_000
        drift.take([Record(ENCODE(StreamCounts(0, at // 60_000 * 60_000, at, 100)))])
    assert drift.said == []


@pytest.mark.parametrize("burst", [4, 10])
@pytest.mark.parametrize("calm", [20, 40, 55])
def test_letters_come_again_after_a_calm_that_was_too_short(burst: int, calm: int) -> None:
    drift = Drift()
    spans = [(500, 0)] * 120 + [(500, 8)] * burst + [(5_000, 0)] * calm
    for place, (events, letters) in enumerate([*spans, *[(500, 10)] * 30, *[(500, 0)] * 70]):
        at = T0 + place * 10_000
        if letters:
            drift.take([Record(ENCODE(LetterCounts(0, at, {"not_json": {"": letters}})))])
        drift.take([Record(ENCODE(StreamCounts(0, at // 60_000 * 60_000, at, events)))])
    assert {each.kind for each in drift.said} == {"data_breakage"}
    assert drift.said[-1].state == "closed"


@pytest.mark.parametrize(
    "counts",
    [
        StreamCounts(0, T0 + 1, T0, 5),
        StreamCounts(0, T0, T0, -5),
        StreamCounts(0, T0, T0, 5, {"a": -1}),
        StreamCounts(0, T0, T0, 5, {}, {"amount < 4": (1, -1)}),
    ],
)
def test_what_is_no_count_becomes_a_dead_letter(counts: StreamCounts) -> None:
    drift = Drift()
    drift.take([Record(ENCODE(counts))])
    assert drift.letters == 1
