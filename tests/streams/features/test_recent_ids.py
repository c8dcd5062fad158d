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
SECRET = Secret(bytes(range(32)))
START = 1_750_000_000_000


def new(ids: RecentIds, *events: tuple[Any, int]) -> list[bool]:
    """Whether each of some ``(id, time)`` is new; offsets go on from the last."""
    first = int(ids._open[-1]) + 1 if ids._open.size else 0
    offsets = np.arange(first, first + len(events))
    times = np.array([time for _, time in events], np.int64)
    return ids.take_in([each for each, _ in events], times, offsets).tolist()


class Slow:
    """The same by a list of all that came: ``(id, clock, offset)``."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, int, int]] = []

    def take_in(self, ids: list[Any], times: list[int], offsets: list[int]) -> list[bool]:
        new = []
        for each, time, offset in zip(ids, times, offsets, strict=True):
            clock = max(time, self.seen[-1][1]) if self.seen else time
            new.append(not any(e == each and clock - c <= WITHIN for e, c, _ in self.seen))
            if new[-1]:
                self.seen.append((each, clock, offset))
        return new


@pytest.mark.parametrize("texts", [False, True], ids=["ints", "texts"])
@pytest.mark.parametrize("seed", range(3))
def test_the_ring_answers_as_a_list_of_everything(seed: int, texts: bool) -> None:
    rng = np.random.default_rng(seed)
    ids, slow = RecentIds(WITHIN, SECRET, texts=texts), Slow()
    time, offset, settled = START, 0, 0
    repeats = returns = 0
    for _ in range(400):
        if rng.random() < 0.2:  # an abort: back to what is settled, or behind it
            back = int(rng.integers(settled, offset + 1))
            ids.go_back(back)
            slow.seen = [each for each in slow.seen if each[2] < back]
            offset = back
            returns += 1
        if rng.random() < 0.3:
            settled = int(rng.integers(settled, offset + 1))
            ids.settle(settled)
        if rng.random() < 0.1:  # a restart from what is written down
            ids.go_back(settled)
            slow.seen = [each for each in slow.seen if each[2] < settled]
            keys, clocks, more_keys, more_clocks = ids.dump()
            ids = RecentIds.load(
                WITHIN,
                SECRET,
                np.concatenate([keys, more_keys]),
                np.concatenate([clocks, more_clocks]),
            )
            offset = settled
        count = int(rng.integers(0, 40))
        time += int(rng.choice([0, 0, 50, 400, 1_500]))
        numbers = rng.integers(0, 600, count)
        batch = [f"e{number}" for number in numbers] if texts else numbers.tolist()
        times = (time - rng.integers(0, 300, count) * (rng.random(count) < 0.3)).tolist()
        offsets = np.arange(offset, offset + count)
        found = ids.take_in(batch, np.array(times, np.int64), offsets).tolist()
        assert found == slow.take_in(batch, times, offsets.tolist())
        repeats += found.count(False)
        offset += count
    assert repeats > 500
    assert returns > 50


def test_an_id_counts_to_the_very_end_of_its_time() -> None:
    ids = RecentIds(WITHIN, SECRET, texts=False)
    assert new(ids, (1, START), (1, START + WITHIN), (1, START + WITHIN + 1)) == [True, False, True]
    assert new(ids, (1, START + 2 * WITHIN + 1)) == [False]


def test_a_late_event_is_remembered_from_when_it_came() -> None:
    ids = RecentIds(WITHIN, SECRET, texts=False)
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
    ids = RecentIds(WITHIN, SECRET, texts=False)
    assert new(ids, (1, START), (1, START + WITHIN), (2, START)) == [True, False, True]
    assert new(ids, (3, START + WITHIN), (1, START)) == [True, False]


def test_ids_go_on_where_their_numbers_end() -> None:
    ids = RecentIds(10 * WITHIN, SECRET, texts=False)
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
    ids = RecentIds(WITHIN, SECRET, texts=texts)
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


def test_damage_is_noticed() -> None:
    repeats = filter_of(deduplicate="2d")
    take(repeats, 0, 0, 1, 2)
    repeats.settle(0, 2)
    header, keys, *others = repeats.dump()
    with pytest.raises(CorruptStateError, match="cut or out of place"):
        filter_of(deduplicate="2d").load([header, memoryview(keys)[:8], *others])
    with pytest.raises(CorruptStateError, match="cut or out of place"):
        filter_of(deduplicate="2d").load([header, keys])


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tells no repeats"):
        contract(deduplicate="0s")
