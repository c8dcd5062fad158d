"""From the feature log to episodes: once each, whatever is killed when."""

from functools import cache

import numpy as np
import pytest
from monitored import BINS, MODEL, OTHER, STEP_MS, T0, Drift, Record, counted, records, rows
from msgspec.structs import replace

from monitoring.counting.cell_counts import DECODE, ENCODE, CellCounts, EpisodeAct, Unread
from monitoring.statistics.effect import psi

MINUTE = 60_000
QUIET, AWAY, AGAIN = 1_500, 1_000, 1_500


@cache
def stream(seed: int, partition: int) -> list[Record]:
    """Amounts become a hundredfold for a while."""
    features = rows(np.random.default_rng([seed, partition]), QUIET + AWAY + AGAIN)
    features[QUIET : QUIET + AWAY, 0] *= 100
    return records(features, partition=partition)


@cache
def interleaved(seed: int = 5) -> list[Record]:
    both = [stream(seed, partition) for partition in (0, 1)]
    return counted([each for pair in zip(*both, strict=True) for each in pair])


def test_counts_are_those_of_the_events() -> None:
    features = rows(np.random.default_rng(3), 500)
    found = [DECODE(each.value()) for each in counted(records(features), batch=2)]
    total = np.zeros(BINS.shape, np.int64)
    for each in found:
        if not isinstance(each, CellCounts):
            continue
        assert (each.model, each.partition, each.start % MINUTE) == (MODEL, 0, 0)
        assert each.start <= each.reached < each.start + MINUTE
        total += each.histogram(BINS.shape)
    assert (total.sum(axis=1) == 500).all()
    own = np.searchsorted(BINS.histograms["amount"].edges, features[:, 0], side="right")
    assert total[0, :22].tolist() == np.bincount(own, minlength=22).tolist()
    assert max(each.reached for each in found if isinstance(each, CellCounts)) == T0 + 499 * STEP_MS


def answered_by_another(first: int, count: int = 200) -> list[Record]:
    """Counts of events that another model answers, from then on."""
    found = [
        DECODE(each.value())
        for each in counted(records(rows(np.random.default_rng(8), count), first=first))
    ]
    return [Record(ENCODE(replace(each, model=OTHER))) for each in found if hasattr(each, "model")]


@pytest.mark.parametrize("restart", [False, True])
def test_an_episode_ends_with_the_model_that_answers_no_more(restart: bool) -> None:
    drift = Drift()
    drift.take(counted(stream(5, 0)[: (QUIET + AWAY) // 25]))
    assert [each.state for each in drift.said[-1:]] == ["open"]
    last = T0 + (QUIET + AWAY) * STEP_MS
    if restart:
        drift.start()
    drift.take(answered_by_another(last))
    assert drift.said[-1].state == "open", "it may answer again: it was a quiet hour"
    drift.take(answered_by_another(last + 2 * 86_400_000))
    over = drift.said[-1]
    assert (over.model, over.state, over.retraining) == (MODEL, "closed", "blocked")
    assert 0 <= last - (over.ended or 0) <= 2 * MINUTE


def test_a_change_is_said_once_and_so_is_its_end() -> None:
    drift = Drift()
    counts = interleaved()
    for start in range(0, len(counts), 7):
        drift.take(counts[start : start + 7])
    ids = {each.id for each in drift.said}
    assert len(ids) == 1
    first, last = drift.said[0], drift.said[-1]
    began, ended = T0 + QUIET * STEP_MS, T0 + (QUIET + AWAY) * STEP_MS
    assert (first.kind, first.severity, first.state) == ("data_breakage", "page", "open")
    amount = last.features[0]
    assert (amount.name, amount.kind) == ("amount", "unit_change")
    assert "about 100 times what it was" in amount.words
    assert began - 10 * MINUTE <= first.began <= began + 2 * MINUTE
    assert first.found <= began + 10 * MINUTE
    assert {each.name for each in last.features} == {"amount", "answer:probability"}
    for each in first.features:
        assert each.histogram is not None
        now, before = each.histogram.now, np.array(each.histogram.before)
        assert sum(now) == each.events
        assert psi(now, before) == pytest.approx(each.psi, rel=0.01), "it is what was judged"
        assert len(each.histogram.edges) == len(BINS.histograms[each.name].edges)
    assert last.state == "closed"
    assert ended <= (last.ended or 0) <= ended + 90 * MINUTE
    assert drift.alarms() == 1


def test_what_is_found_does_not_depend_on_batches_and_kills() -> None:
    counts = interleaved()
    steady = Drift()
    for each in counts:
        steady.take([each])
    killed = Drift()
    killed.take_and_be_killed(counts, seed=1, most=40, chance=0.3)
    assert {each.id: each for each in killed.said} == {each.id: each for each in steady.said}
    assert dict(killed.state.of(0).items()) == dict(steady.state.of(0).items())


def test_a_quiet_stream_says_nothing() -> None:
    for seed in range(3):
        drift = Drift()
        both = [
            records(rows(np.random.default_rng([seed, place]), 3_000), partition=place)
            for place in (0, 1)
        ]
        drift.take(counted([each for pair in zip(*both, strict=True) for each in pair]))
        assert drift.said == []


def test_a_partition_that_lags_does_not_hold_up_the_others() -> None:
    """Its events count, where the others are."""
    drift = Drift()
    ahead, behind = stream(5, 0), records(rows(np.random.default_rng(9), 30), partition=1)
    drift.take(counted(behind))
    drift.take(counted(ahead))
    assert [each.state for each in drift.said][:1] == ["open"]
    drift.take(counted(behind))
    assert drift.letters == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 30,
        ENCODE(CellCounts(MODEL, 0, T0, T0, 5, b"1234")),
        ENCODE(CellCounts(MODEL, 0, T0 + 1, T0, 5, bytes(4 * 4 * 23))),
        ENCODE(CellCounts(MODEL, 0, T0, T0, 5, bytes(4 * BINS.shape[0] * BINS.shape[1]))),
    ],
)
def test_what_is_no_count_becomes_a_dead_letter(data: bytes) -> None:
    drift = Drift()
    counts = interleaved()
    drift.take([counts[0], Record(data), counts[1]])
    assert drift.letters == 1
    drift.take(counts[2:])
    assert len({each.id for each in drift.said}) == 1


def test_people_have_their_say() -> None:
    drift = Drift()
    counts = interleaved()
    half = len(counts) // 2
    drift.take(counts[:half])
    episode = drift.said[-1]
    assert episode.state == "open"

    def say(deed: str, until: int | None = None, of: str = episode.id) -> None:
        act = EpisodeAct(of, deed, "ada", "why", T0, until)  # type: ignore[arg-type]
        drift.take([Record(ENCODE(act))])

    say("acknowledge", of="another")
    assert drift.said[-1] == episode
    say("acknowledge")
    assert drift.said[-1].acknowledged_by == "ada"
    drift.start()
    say("snooze", T0 + 5)
    assert drift.said[-1].snoozed_until == T0 + 5
    assert [act.deed for act in drift.said[-1].acts] == ["acknowledge", "snooze"]
    say("close")
    closed = drift.said[-1]
    assert closed.state == "closed"
    assert (closed.ended or 0) >= closed.found > T0, "by the stream's time"
    drift.take(counts[half:])
    assert len({each.id for each in drift.said}) == 2, "what is still away begins a new one"


def test_who_is_caught_up_with_holds_up_the_others() -> None:
    """Half of the keys alone look like drift."""
    drift = Drift()
    drift.holding = {0, 1}
    ahead = [DECODE(each.value()) for each in counted(stream(5, 0))]
    drift.take([Record(ENCODE(each)) for each in ahead])
    assert drift.said == [], "partition 1 was never counted"
    drift.take([Record(ENCODE(Unread({0: 0, 1: 30})))])
    behind = counted(stream(5, 1))
    half = len(behind) // 2
    drift.take(behind[:half])
    found = {each.id for each in drift.said}
    drift.take([*behind[half:], Record(ENCODE(Unread({1: 0})))])
    assert len(found) == 1
    assert {each.id for each in drift.said} == found
    assert drift.said[-1].state == "closed"


@pytest.mark.parametrize("waiting", [True, False])
def test_who_waits_to_be_counted_is_not_silent(waiting: bool) -> None:
    """A monitor that was down counts half a day of a partition before the other's."""
    drift = Drift()
    drift.holding = {0, 1}
    events = 12 * 3_600_000 // STEP_MS
    days = [
        [
            records(
                rows(np.random.default_rng([seed, place]), events),
                first=first,
                partition=place,
                size=500,
            )
            for place in (0, 1)
        ]
        for seed, first in ((1, T0), (2, T0 + events * STEP_MS))
    ]
    both = [each for pair in zip(*days[0], strict=True) for each in pair]
    drift.take(counted(both))
    assert drift.said == []
    drift.start()
    drift.take([Record(ENCODE(Unread({0: 0, 1: 9 * waiting}))), *counted(days[1][0])])
    assert ("silent_partition" in kinds(drift)) != waiting
    drift.take([*counted(days[1][1]), Record(ENCODE(Unread({0: 0, 1: 0})))])
    assert ("silent_partition" in kinds(drift)) != waiting


def kinds(drift: Drift) -> set[str]:
    return {each.kind for said in drift.said for each in said.features}
