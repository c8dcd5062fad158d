"""A router's partition as a task: its end, seeks, and records that can't be decoded yet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from staged_world import DEAD, EVENTS, SourceRecord
from test_staged_network import CONTRACT, START, TABLES, plan_of

from streams.events.json_decoder import Decoded, Decoder, TryAgainLaterError
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.route.route_task import RouteTask
from streams.stages.route.router import EventRouter


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


@pytest.fixture
def task(registry: Registry, clock: list[float]) -> RouteTask:
    plan = split_plan(plan_of(TABLES), "customer")
    targets = {part.entity: 1 for part in plan.parts}
    router = EventRouter(plan, StageTopics(), 0, targets, DEAD, lambda: START, decoder=registry)
    return RouteTask(router, lambda: clock[0])


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
