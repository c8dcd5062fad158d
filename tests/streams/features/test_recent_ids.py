"""Ids that came lately: against a list that is searched from end to end."""

from typing import Any

import numpy as np
import pytest

from streams.events.contract import EventContract, Field
from streams.features import CorruptStateError, DumpMismatchError
from streams.features.hashing import Secret
from streams.features.recent_ids import RecentIds
from streams.features.repeat_filter import RepeatFilter, refuse_ids

WITHIN = 1_000
MOST = 1_000_000
SECRET = Secret(bytes(range(32)))
START = 1_750_000_000_000


def new(ids: RecentIds, *events: tuple[Any, int]) -> list[bool]:
    """Whether each of some ``(id, time)`` is new; offsets go on from the last."""
    first = int(ids._open[-1]) + 1 if ids._open.size else 0
    offsets = np.arange(first, first + len(events))
    times = np.array([time for _, time in events], np.int64)
    return ids.take_in([each for each, _ in events], times, offsets).tolist()


class Slow:
    """The same by a dict, which is filled anew for whoever goes back."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.go_back(0)

    def go_back(self, offset: int) -> None:
        log = [event for event in getattr(self, "log", []) if event[2] < offset]
        self.log: list[tuple[Any, int, int]] = []
        self.clocks: dict[Any, int] = {}
        self.clock = 0
        self.displacing: list[int] = []
        for event in log:
            self.is_new(*event)

    def is_new(self, each: Any, time: int, offset: int) -> bool:
        self.log.append((each, time, offset))
        clock = max(time, self.clock)
        if clock - self.clocks.get(each, 0) <= WITHIN:
            return False
        self.clock = clock
        while self.clocks and clock - next(iter(self.clocks.values())) > WITHIN:
            del self.clocks[next(iter(self.clocks))]
        if len(self.clocks) == self.most:
            del self.clocks[next(iter(self.clocks))]
            self.displacing.append(offset)
        self.clocks[each] = clock
        return True


@pytest.mark.parametrize("texts", [False, True], ids=["ints", "texts"])
@pytest.mark.parametrize(("most", "different"), [(MOST, 600), (40, 200), (3, 10), (1, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_the_ring_answers_as_a_dict_that_forgets(
    seed: int, most: int, different: int, texts: bool
) -> None:
    rng = np.random.default_rng(seed)
    ids, slow = RecentIds(WITHIN, most, SECRET, texts=texts), Slow(most)
    time, offset, settled = START, 0, 0
    repeats = returns = displaced = 0
    for _ in range(400):
        if rng.random() < 0.2:  # an abort: back to what is settled, or behind it
            offset = int(rng.integers(settled, offset + 1))
            ids.go_back(offset)
            slow.go_back(offset)
            returns += 1
        if rng.random() < 0.3:
            settled = int(rng.integers(settled, offset + 1))
            displaced += ids.settle(settled)
            assert displaced == sum(each < settled for each in slow.displacing)
        if rng.random() < 0.1:  # a restart from what is written down
            offset = settled
            ids.go_back(offset)
            slow.go_back(offset)
            keys, clocks, more_keys, more_clocks = ids.dump()
            ids = RecentIds.load(
                WITHIN,
                most,
                SECRET,
                np.concatenate([keys, more_keys]),
                np.concatenate([clocks, more_clocks]),
            )
        count = int(rng.integers(0, 40))
        time += int(rng.choice([0, 0, 50, 400, 1_500]))
        numbers = rng.integers(0, different, count)
        batch = [f"e{number}" for number in numbers] if texts else numbers.tolist()
        times = (time - rng.integers(0, 300, count) * (rng.random(count) < 0.3)).tolist()
        offsets = np.arange(offset, offset + count)
        found = ids.take_in(batch, np.array(times, np.int64), offsets).tolist()
        assert found == list(map(slow.is_new, batch, times, offsets.tolist()))
        assert len(ids) == len(slow.clocks)
        repeats += found.count(False)
        offset += count
    assert repeats > 500
    assert returns > 50
    assert displaced > 500 or most == MOST


def test_an_id_counts_to_the_very_end_of_its_time() -> None:
    ids = RecentIds(WITHIN, MOST, SECRET, texts=False)
    assert new(ids, (1, START), (1, START + WITHIN), (1, START + WITHIN + 1)) == [True, False, True]
    assert new(ids, (1, START + 2 * WITHIN + 1)) == [False]


def test_a_late_event_is_remembered_from_when_it_came() -> None:
    ids = RecentIds(WITHIN, MOST, SECRET, texts=False)
    late = START - 50 * WITHIN
    assert new(ids, (1, START), (2, late), (2, late), (3, START + WITHIN), (2, late)) == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert new(ids, (4, START + WITHIN + 1), (2, late)) == [True, True]


def test_a_repeat_with_a_later_time_moves_no_clock() -> None:
    ids = RecentIds(WITHIN, MOST, SECRET, texts=False)
    assert new(ids, (1, START), (1, START + WITHIN), (2, START)) == [True, False, True]
    assert new(ids, (3, START + WITHIN), (1, START)) == [True, False]


def test_ids_go_on_where_their_numbers_end() -> None:
    ids = RecentIds(10 * WITHIN, MOST, SECRET, texts=False)
    for which in range(3):
        assert all(new(ids, *((10_000 * which + i, START) for i in range(3_000))))
        ids.settle(1 << 60)
    ids._bounds += (1 << 32) - (1 << 32) % ids._ring[1].size - 2 * ids._ring[1].size
    ids._settled = int(ids._bounds[2])
    ids._table[:] = 0
    ids._reserve(ids._table.size)  # makes the table anew
    assert all(new(ids, *((50_000 + i, START) for i in range(20_000))))
    assert int(ids._bounds[2]) < 1 << 31
    assert not any(new(ids, *((20_000 + i, START) for i in range(3_000)), (50_100, START)))


@pytest.mark.parametrize(("texts", "most"), [(False, 26), (True, 35)])
def test_memory_follows_what_is_remembered(texts: bool, most: int) -> None:
    ids = RecentIds(WITHIN, MOST, SECRET, texts=texts)
    peak = 0.0
    for first in range(0, 200_000, 1_000):
        numbers = range(first, first + 1_000)
        batch: list[Any] = [f"e{n}" for n in numbers] if texts else list(numbers)
        times = np.full(1_000, START + min(first // 1_000, 50) + 10 * WITHIN * (first > 150_000))
        assert ids.take_in(batch, times, np.arange(first, first + 1_000)).all()
        ids.settle(first + 1_000)
        if 20_000 <= first <= 150_000:
            peak = max(peak, ids.nbytes / len(ids))
    assert peak <= most
    assert len(ids) == 49_000  # what came after the jump


def test_memory_ends_where_ids_are_as_many_as_may_be() -> None:
    ids = RecentIds(WITHIN, 10_000, SECRET, texts=False)
    displaced = 0
    for first in range(0, 100_000, 1_000):
        batch = list(range(first, first + 1_000))
        assert ids.take_in(batch, np.full(1_000, START), np.arange(first, first + 1_000)).all()
        displaced += ids.settle(first + 1_000)
    assert (len(ids), displaced) == (10_000, 90_000)
    assert ids.nbytes <= 26 * 11_000  # a batch is held on top
    assert sum(map(len, ids.dump())) == 2 * 10_000


def contract(kind: str = "int", **more: Any) -> EventContract:
    fields = {"id": Field(type=kind), "card": Field(type="int")}  # type: ignore[arg-type]
    return EventContract(id="id", time="at", key="card", fields=fields, **more)


def filter_of(**more: Any) -> RepeatFilter:
    found = RepeatFilter.of(contract(**more))
    assert found is not None
    return found


def take(repeats: RepeatFilter, partition: int, first: int, *ids: Any) -> list[bool]:
    offsets = np.arange(first, first + len(ids))
    return repeats.take_in(partition, list(ids), np.full(len(ids), START), offsets).tolist()


def test_only_what_is_committed_is_written_down() -> None:
    repeats = filter_of(deduplicate="1s")
    assert take(repeats, 0, 0, 1, 2, 3) == [True, True, True]
    assert take(repeats, 1, 0, 1, 1) == [True, False]
    repeats.note_taken(0, 2)
    repeats.note_taken(1, 2)
    repeats.savepoint()
    repeats.note_taken(0, 3)
    repeats.savepoint()
    repeats.commit()
    other = filter_of(deduplicate="1s")
    rest = other.load([*repeats.dump(), b"windows"])
    assert rest == [b"windows"]
    assert len(other) == 3
    assert take(other, 0, 2, 3, 2, 1) == [True, False, False]
    repeats.rollback()
    repeats.go_back(0, 2)
    repeats.go_back(1, 2)
    assert take(repeats, 0, 2, 3, 2) == [True, False]


def test_another_setting_is_noticed() -> None:
    assert RepeatFilter.of(contract()) is None
    dumped = filter_of(deduplicate="2d").dump()
    with pytest.raises(DumpMismatchError, match=r"event\.deduplicate 2d, wanted 7d"):
        filter_of(deduplicate="7d").load(dumped)
    with pytest.raises(DumpMismatchError, match=r"event\.deduplicate 2d, wanted off"):
        refuse_ids(dumped)
    with pytest.raises(DumpMismatchError, match=r"event\.deduplicate off, wanted 7d"):
        filter_of(deduplicate="7d").load([b"\x80", b"windows"])
    with pytest.raises(DumpMismatchError, match="ids of type int, wanted string"):
        filter_of(kind="string", deduplicate="2d").load(dumped)
    refuse_ids([b"\x80"])


def test_another_number_of_ids_needs_no_other_state() -> None:
    """The latest of what was written down count, in a ring that has gone round."""
    repeats = filter_of(deduplicate="2d", max_remembered_ids=400)
    for first in range(0, 3_000, 100):
        assert all(take(repeats, 0, first, *range(first, first + 100)))
        repeats.settle(0, first + 100)
    dumped = repeats.dump()

    fewer = filter_of(deduplicate="2d", max_remembered_ids=3)
    assert fewer.load(dumped) == []
    assert len(fewer) == 3
    assert take(fewer, 0, 3_000, 2_997, 2_999, 2_996, 2_997) == [False, False, True, True]

    more = filter_of(deduplicate="2d", max_remembered_ids=405)
    more.load(dumped)
    assert take(more, 0, 3_000, 2_599, *range(4), 2_600, 4, 2_600) == (
        [True] * 5 + [False] + [True] * 2
    )
    assert more.settle(0, 3_003) == 0
    assert more.settle(0, 4_000) == 2  # 2,600 and 2,601


def test_the_log_says_whose_ids_were_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    repeats = filter_of(deduplicate="2d", max_remembered_ids=2)
    take(repeats, 3, 0, 1, 2, 3, 4)
    repeats.note_taken(3, 4)
    repeats.savepoint()
    assert not caplog.records
    assert repeats.commit() == 2
    take(repeats, 3, 4, 5)
    assert repeats.settle(3, 5) == 1
    (record,) = caplog.records
    assert record.getMessage() == (
        "event ids were forgotten, since there are more than event.max_remembered_ids (2): 2 of "
        "partition 3 so far. An event with one of them is answered again. Set it higher if memory "
        "allows, and see who sends so many"
    )


def test_damage_is_noticed() -> None:
    repeats = filter_of(deduplicate="2d")
    take(repeats, 0, 0, 1, 2)
    repeats.settle(0, 2)
    header, keys, *others = repeats.dump()
    with pytest.raises(CorruptStateError, match="cut or out of place"):
        filter_of(deduplicate="2d").load([header, memoryview(keys)[:8], *others])
    with pytest.raises(CorruptStateError, match="cut or out of place"):
        filter_of(deduplicate="2d").load([header, keys])


def test_no_time_and_no_ids_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        contract(deduplicate="1s", max_remembered_ids=0)
    with pytest.raises(ValueError, match="0 tells no repeats"):
        contract(deduplicate="0s")
