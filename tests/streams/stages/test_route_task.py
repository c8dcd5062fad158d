"""A router's partition as a task: its end, seeks, and records that can't be decoded yet."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from staged_world import DEAD, EVENTS, SourceRecord
from test_staged_network import CONTRACT, ONCE, START, TABLES, plan_of

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoded, Decoder, TryAgainLaterError
from streams.loop.fused.task import StateMismatchError
from streams.stages.common.messages import RowCodec, open_message
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.common.step import Step
from streams.stages.route.route_task import RouteTask
from streams.stages.route.router import EventRouter
from streams.transactions.outcome import Committed

PLAN = split_plan(plan_of(TABLES), "customer")


class Registry(Decoder):
    """Decodes JSON, but only records before one that it has no schema for."""

    missing: bytes | None = None

    def decode(
        self, values: Sequence[bytes | None], arrived_ms: NDArray[np.int64] | None = None
    ) -> Decoded:
        if self.missing in values:
            ready = list(values).index(self.missing)
            stamps = None if arrived_ms is None else arrived_ms[:ready]
            raise TryAgainLaterError(ready, "no schema yet", super().decode(values[:ready], stamps))
        return super().decode(values, arrived_ms)


class End(SourceRecord):
    """The present end of a partition, as the client would say it."""

    def error(self) -> Any:
        return "end"


def record(offset: int) -> SourceRecord:
    value = f'{{"id": {offset}, "time": {START + offset}, "customer": 1}}'
    return SourceRecord((EVENTS, 0, offset), value.encode(), START + offset)


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def registry() -> Registry:
    return Registry(CONTRACT)


def new_task(
    registry: Registry,
    clock: list[float],
    contract: EventContract = CONTRACT,
    count_repeats: Callable[[int], None] = lambda _: None,
    count_forgotten: Callable[[int], None] = lambda _: None,
) -> RouteTask:
    plan = split_plan(plan_of(TABLES, contract), "customer")
    targets = {part.entity: 1 for part in plan.parts}
    router = EventRouter(
        plan,
        StageTopics(),
        0,
        targets,
        DEAD,
        lambda: START,
        decoder=registry,
        count_repeats=count_repeats,
        count_forgotten=count_forgotten,
    )
    return RouteTask(router, lambda: clock[0])


@pytest.fixture
def task(registry: Registry, clock: list[float]) -> RouteTask:
    return new_task(registry, clock)


def routed_to(task: RouteTask, limit: int = 100) -> int | None:
    """Where reading goes on after one transaction; None if there was none."""
    step = task.take(limit)
    if step is None:
        return None
    task.commit()
    return step.position.offset


def test_records_are_routed_in_pieces_and_repeated_ones_passed_over(task: RouteTask) -> None:
    task.feed([record(i) for i in range(7)])
    task.feed([record(i) for i in range(3, 10)])
    assert (task.waiting, task.next_offset) == (10, 10)
    assert [routed_to(task, 4) for _ in range(4)] == [4, 8, 10, None]


def test_an_abort_puts_records_back_before_newer_ones(task: RouteTask) -> None:
    task.feed([record(i) for i in range(4)])
    first = task.take(3)
    task.feed([record(4)])
    task.rollback()
    assert (task.waiting, task.next_offset) == (5, 5)
    again = task.take(3)
    assert first is not None
    assert again is not None
    assert again.position == first.position
    assert [out.values for out in again.outgoing] == [out.values for out in first.outgoing]


def test_the_end_is_told_once_and_then_only_if_it_moves(
    task: RouteTask, clock: list[float]
) -> None:
    task.feed([record(0), End((EVENTS, 0, 1), None, 0)])
    assert routed_to(task) == 1
    clock[0] += 5
    assert routed_to(task) is None
    task.feed([End((EVENTS, 0, 3), None, 0)])  # behind two markers of transactions
    assert routed_to(task) is None  # nobody waits for these
    task.feed([record(3)])
    assert routed_to(task) == 4


def test_a_record_without_a_schema_waits_and_those_before_it_go_on(
    task: RouteTask, registry: Registry, clock: list[float]
) -> None:
    registry.missing = record(2).value()
    task.feed([record(i) for i in range(5)])
    assert routed_to(task) == 2
    assert routed_to(task) is None
    clock[0] += 1
    assert routed_to(task) is None
    assert task.waiting == 3
    registry.missing = None
    assert routed_to(task) is None  # it is asked again after a while, not at once
    clock[0] += 1
    assert routed_to(task) == 5


def again(offset: int, event: int, **headers: bytes) -> SourceRecord:
    """An event of before at an offset of now."""
    marks = [(name.replace("_", "."), value) for name, value in headers.items()]
    return SourceRecord((EVENTS, 0, offset), record(event).raw, START + offset, marks)


def offsets_routed(step: Step) -> list[int]:
    """Offsets of the events that go to be scored."""
    codec = RowCodec(CONTRACT, PLAN.fields, PLAN.digest)
    values = [out.values for out in step.outgoing if out.topic == StageTopics().enriched]
    return [
        row.offset for value in chain(*values) for row in codec.decode(open_message(value)[1])[1]
    ]


def bytes_of(task: RouteTask) -> list[memoryview]:
    """What a forked child would write."""
    return [memoryview(bytes(buffer)) for buffer in task.dump()]


def test_a_repeat_goes_no_further_and_is_counted_once_it_is_committed(
    registry: Registry, clock: list[float]
) -> None:
    counted: list[int] = []
    task = new_task(registry, clock, ONCE, counted.append)
    task.feed([record(0), record(1), again(2, 0), again(3, 1, weir_reason=b"failed")])
    task.take(2)
    task.rollback()
    step = task.take(10)
    assert step is not None
    assert offsets_routed(step) == [0, 1, 3]  # nobody has answered what failed
    assert (step.position.offset, step.rows, counted) == (4, 4, [])
    task.commit()
    step.when_visible(Committed(0.0, 0.0))
    assert counted == [1]
    task.feed([again(4, 0)])
    step = task.take(10)
    assert step is not None
    assert step.position.offset == 5  # all of it, though there is nothing to be routed
    assert [out.topic for out in step.outgoing] == []


def test_ids_that_had_no_room_are_counted_once_that_is_committed(
    registry: Registry, clock: list[float]
) -> None:
    counted: list[int] = []
    few = ONCE.model_copy(update={"max_remembered_ids": 2})
    task = new_task(registry, clock, few, count_forgotten=counted.append)
    task.feed([record(0), record(1), record(2), again(3, 1), again(4, 0)])
    task.take(10)
    task.rollback()
    assert counted == []
    step = task.take(10)
    assert step is not None
    assert offsets_routed(step) == [0, 1, 2, 4]
    task.commit()
    assert counted == [2]
    task.begin(step.position)  # what is read again was counted
    task.feed([record(0), record(1), record(2), again(3, 1), again(4, 0), again(5, 2)])
    assert task.ready
    task.take(10)
    task.commit()
    assert counted == [2, 0]


@pytest.mark.parametrize("dumped_at", [None, 3, 6])
def test_a_router_knows_its_ids_again(
    dumped_at: int | None, registry: Registry, clock: list[float]
) -> None:
    """By its snapshot or by the records alone; until then it routes nothing."""
    task = new_task(registry, clock, ONCE)
    task.feed([record(i) for i in range(6)])
    dumps = {}
    for limit in (3, 3):
        step = task.take(limit)
        task.commit()
        assert step is not None
        dumps[step.position.offset] = bytes_of(task)
    assert (task.settled, task.ready) == (step.position, True)

    task = new_task(registry, clock, ONCE)
    task.begin(step.position, dumps[dumped_at] if dumped_at else None)
    first = dumped_at or 0
    assert (task.next_offset, task.ready) == (first, dumped_at == 6)
    registry.missing = record(4).value()
    task.feed([record(i) for i in range(first, 6)])
    if dumped_at != 6:
        assert (task.ready, task.next_offset, task.take(10)) == (False, 6, None)
    registry.missing = None
    clock[0] += 1
    task.feed([again(6, 1), again(7, 5), record(8)])
    assert task.ready
    step = task.take(10)
    assert step is not None
    assert step.position.offset == 9
    assert task.restored == 6 - first
    assert task.began_at == (None if dumped_at == 6 else START + first)
    assert offsets_routed(step) == [8]


def test_a_router_is_ready_where_what_it_routed_has_expired(
    registry: Registry, clock: list[float]
) -> None:
    task = new_task(registry, clock, ONCE)
    task.feed([record(0), record(1)])
    step = task.take(10)
    assert step is not None
    task.begin(step.position)
    assert not task.ready
    task.feed([End((EVENTS, 0, 2), None, 0)])
    assert task.ready
    assert task.began_at is None


def test_anothers_ids_are_refused(registry: Registry, clock: list[float]) -> None:
    task = new_task(registry, clock, ONCE)
    task.feed([record(i) for i in range(4)])
    positions = []
    for _ in range(2):
        step = task.take(2)
        task.commit()
        assert step is not None
        positions.append(step.position)
    dump = bytes_of(task)
    with pytest.raises(StateMismatchError, match="of a later position"):
        task.begin(positions[0], dump)
    other = new_task(registry, clock, ONCE.model_copy(update={"deduplicate": 5_000}))
    with pytest.raises(StateMismatchError, match=r"deduplicate 200ms, wanted 5s"):
        other.begin(positions[1], dump)
    with pytest.raises(StateMismatchError, match="no header of a router"):
        task.begin(positions[1], [memoryview(b"noise")])
