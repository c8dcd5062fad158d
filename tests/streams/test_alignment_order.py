"""The time-aligned merge gives one order, whatever comes first."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.alignment import OFFSET, TIME, Alignment, AlignmentSettings, Lane

LONG_AGO = 1_000_000
NOW = 1_000_000_000
SETTINGS = AlignmentSettings()


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass(frozen=True)
class Item:
    id: int
    time: int
    lane: int
    is_event: bool


def lanes_of(kinds: list[bool]) -> list[Lane]:
    return [Lane("events" if e else "labels", i, e, 0) for i, e in enumerate(kinds)]


def add(lane: Lane, items: list[Item], start: int) -> None:
    numbers = np.zeros((3, len(items)), np.int64)
    numbers[TIME] = [item.time for item in items]
    numbers[OFFSET] = np.arange(start, start + len(items))
    lane.add(items, numbers, start + len(items))


def drain(alignment: Alignment, limit: int) -> list[Item]:
    """Everything whose turn has come, labels put where they stand before events."""
    out: list[Item] = []
    while (turn := alignment.take(limit)) is not None:
        assert len(turn.events) + len(turn.labels) <= limit
        labels = list(zip(turn.labels, turn.label_before.tolist(), strict=True))
        for place, event in enumerate(turn.events):
            out += [label for label, before in labels if before == place]
            out.append(event)
        out += [label for label, before in labels if before >= len(turn.events)]
    return out


@st.composite
def worlds(draw):
    kinds = [True, *draw(st.lists(st.booleans(), min_size=0, max_size=4))]
    per_lane = []
    next_id = 0
    for lane, is_event in enumerate(kinds):
        times = sorted(draw(st.lists(st.integers(0, 12), max_size=12)))
        items = []
        for time in times:
            items.append([time, lane, is_event])
        per_lane.append(items)
    # Ids ascend within equal times of a lane, as a producer in order of (time, id) sends them.
    everything = sorted((i for items in per_lane for i in items), key=lambda i: i[0])
    order = draw(st.permutations(range(len(everything))))
    ids = iter(sorted(order))
    groups: dict[int, list[list]] = {}
    for item in everything:
        groups.setdefault(item[0], []).append(item)
    made: list[list[Item]] = [[] for _ in kinds]
    for time in sorted(groups):
        shuffled = draw(st.permutations(groups[time]))
        for _, lane, is_event in shuffled:
            made[lane].append(Item(next(ids), LONG_AGO + time, lane, is_event))
            next_id += 1
    feeding = draw(st.lists(st.tuples(st.integers(0, len(kinds) - 1), st.integers(1, 4))))
    limit = draw(st.integers(1, 7))
    return kinds, made, feeding, limit


@settings(max_examples=300, deadline=None)
@given(worlds())
def test_history_comes_in_one_order_whatever_arrives_first(world) -> None:
    kinds, made, feeding, limit = world
    clock = Clock()
    alignment = Alignment(SETTINGS, clock, lambda item: item.id)
    lanes = lanes_of(kinds)
    alignment.set_lanes(lanes)
    position = [0] * len(lanes)
    taken: list[Item] = []
    rest = [(lane, len(made[lane])) for lane in range(len(kinds))]
    for lane, count in [*feeding, *rest]:
        chunk = made[lane][position[lane] : position[lane] + count]
        add(lanes[lane], chunk, position[lane])
        position[lane] += len(chunk)
        taken += drain(alignment, limit)
        check_positions(lanes, made, taken)
    clock.now += SETTINGS.max_hold + 1
    taken += drain(alignment, limit)
    clock.now += SETTINGS.max_hold + 1
    taken += drain(alignment, limit)

    everything = [item for items in made for item in items]
    events = sorted((i for i in everything if i.is_event), key=lambda i: (i.time, i.id))
    assert [i for i in taken if i.is_event] == events
    assert sorted(taken, key=lambda i: i.id) == sorted(everything, key=lambda i: i.id)
    place = {item: n for n, item in enumerate(taken)}
    for label in (i for i in everything if not i.is_event):
        for event in events:
            assert (place[label] < place[event]) == (label.time <= event.time)


def check_positions(lanes: list[Lane], made: list[list[Item]], taken: list[Item]) -> None:
    """A lane's position is behind exactly what was taken of it."""
    for number, lane in enumerate(lanes):
        of_lane = [item for item in taken if item.lane == number]
        assert of_lane == made[number][: len(of_lane)]
        assert lane.position == len(of_lane)


def two_lanes(clock: Clock, *kinds: bool) -> tuple[Alignment, list[Lane]]:
    alignment = Alignment(SETTINGS, clock, lambda item: item.id)
    lanes = lanes_of(list(kinds))
    alignment.set_lanes(lanes)
    return alignment, lanes


def test_a_silent_lane_holds_history_up_for_max_idle_and_again_after_it_spoke() -> None:
    clock = Clock()
    alignment, (one, two) = two_lanes(clock, True, True)
    two.caught_up = True
    add(one, [Item(1, LONG_AGO, 0, True)], 0)
    assert drain(alignment, 10) == []
    clock.now += SETTINGS.max_idle - 1
    assert drain(alignment, 10) == []
    clock.now += 1
    assert [item.id for item in drain(alignment, 10)] == [1]
    add(two, [Item(2, LONG_AGO + 5, 1, True)], 0)
    add(one, [Item(3, LONG_AGO + 9, 0, True)], 1)
    assert [item.id for item in drain(alignment, 10)] == [2]
    two.caught_up = True
    clock.now += SETTINGS.max_idle - 1
    assert drain(alignment, 10) == []


def test_a_lane_with_more_to_deliver_is_waited_for_longer() -> None:
    clock = Clock()
    alignment, (one, _) = two_lanes(clock, True, True)
    add(one, [Item(1, LONG_AGO, 0, True)], 0)
    assert drain(alignment, 10) == []
    clock.now += SETTINGS.max_hold - 1
    assert drain(alignment, 10) == []
    clock.now += 1
    assert len(drain(alignment, 10)) == 1


def test_live_events_wait_for_nobody_who_is_caught_up() -> None:
    clock = Clock()
    alignment, (one, two) = two_lanes(clock, True, True)
    two.caught_up = True
    add(one, [Item(1, NOW - SETTINGS.live_within, 0, True)], 0)
    assert len(drain(alignment, 10)) == 1


def test_progress_lets_events_go_up_to_its_time() -> None:
    clock = Clock()
    alignment, (events, labels) = two_lanes(clock, True, False)
    add(events, [Item(1, LONG_AGO, 0, True), Item(2, LONG_AGO + 7, 0, True)], 0)
    assert drain(alignment, 10) == []
    labels.completed_to(LONG_AGO + 6)
    assert [item.id for item in drain(alignment, 10)] == [1]
    labels.completed_to(LONG_AGO + 7)
    assert [item.id for item in drain(alignment, 10)] == [2]


def test_a_late_event_keeps_its_place_in_its_partition() -> None:
    clock = Clock()
    alignment, (one,) = two_lanes(clock, True)
    late = [Item(1, LONG_AGO + 9, 0, True), Item(2, LONG_AGO, 0, True)]
    add(one, late, 0)
    assert drain(alignment, 10) == late
