"""Rows that wait between the stages are not too many, and nobody waits for ever for their sake."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError
from staged_world import DEAD, EVENTS, LABELS, SourceRecord, Sources, fused, put
from test_staged_network import CONTRACT, START, TABLES, plan_of, random_sources

from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.partition import PartitionId
from streams.loop.fused.task import Answers
from streams.loop.stage_clock import StageClock
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.entity.entity_stage import EntityStage
from streams.stages.entity.entity_task import EntityTask
from streams.stages.join.join_task import JoinTask
from streams.stages.join.joiner import Joiner
from streams.stages.route.label_router import LabelRouter
from streams.stages.route.route_task import RouteTask
from streams.stages.route.router import EventRouter
from streams.stages.worker.own_tasks import OwnTasks
from streams.stages.worker.passed_batches import PassedBatches

WINDOWS = WindowSettings(allowed_lateness="1s")
PATIENCE = AlignmentSettings(max_idle="1s", max_hold="3s", live_within="1s")
ROUND_S = 0.05


class End(SourceRecord):
    """The present end of a partition, as the client would say it."""

    def error(self) -> Any:
        return KafkaError(KafkaError._PARTITION_EOF)


class Workers:
    """Some workers in memory that share all partitions, round by round, as their loop has it."""

    def __init__(
        self,
        plan: FeaturePlan,
        sources: Sources,
        rng: np.random.Generator,
        *,
        workers: int,
        limit: int,
        batch: int,
        targets: int = 2,
    ) -> None:
        self.rng, self.limit, self.batch = rng, limit, batch
        self.plan, self.names = split_plan(plan, "customer"), StageTopics()
        self.logs: dict[PartitionId, list[Any]] = {
            place: [each.raw for each in log] for place, log in sources.items()
        }
        self.sources = dict(self.logs)
        self.targets = {part.entity: targets for part in self.plan.parts}
        self.count = Counter(topic for topic, _ in sources)
        self.now = 0.0
        self.answers: dict[int, tuple[list[int], list[FeatureRows]]] = {}
        self.most: Counter[PartitionId] = Counter()
        places = [*sources, *((self.names.enriched, p) for p in range(self.count[EVENTS]))]
        for entity in self.targets:
            places += [(self.names.by_entity(entity), p) for p in range(targets)]
        self.workers = [
            OwnTasks(PassedBatches(DEAD, lambda _: None), StageClock()) for _ in range(workers)
        ]
        for place in places:
            self.give(place, int(rng.integers(workers)))

    def give(self, place: PartitionId, worker: int) -> None:
        for each in self.workers:
            each.forget(place)
        task = self.workers[worker].by_place[place] = self.new_task(*place)
        task.begin(None)
        self.workers[worker]._positions[place] = None

    def new_task(self, topic: str, partition: int) -> Any:
        args = (self.plan, self.names, partition, self.targets, DEAD, lambda: int(self.now * 1e3))
        if topic in (EVENTS, LABELS):
            router = EventRouter(*args) if topic == EVENTS else LabelRouter(*args)
            return RouteTask(router, lambda: self.now)
        if topic == self.names.enriched:
            joiner = Joiner(CONTRACT, self.plan, WINDOWS, partition)
            return JoinTask(joiner, self.answer, lambda: None, lambda *_: None)
        stage = EntityStage(
            CONTRACT,
            part=next(p for p in self.plan.parts if self.names.by_entity(p.entity) == topic),
            windows=WINDOWS,
            alignment=PATIENCE,
            events=self.count[EVENTS],
            labels=self.count[LABELS],
            enriched=self.names.enriched,
            now_ms=lambda: 10**15,
            steady_ms=lambda: int(self.now * 1e3),
        )
        ends = {(topic == EVENTS, p): len(log) for (topic, p), log in self.sources.items()}
        return EntityTask(stage, lambda: ends)

    def answer(self, work: Any, rows: FeatureRows, _: float) -> Answers:
        def visible(committed: Any) -> None:
            offsets, found = self.answers.setdefault(int(work.partitions[0]), ([], []))
            offsets += work.offsets.tolist()
            found.append(rows)

        return Answers([], visible)

    def round(self, worker: OwnTasks, aborts: float) -> bool:
        """One transaction of a worker; whether it did anything but repeat its word."""
        self.now += ROUND_S
        read = 0
        for place, task in worker.by_place.items():
            log, first = self.logs.get(place, []), task.next_offset
            if worker.queued.get(place, 0) < self.limit:  # as a consumer that is not paused
                few = (
                    self.batch if place in self.sources else 20 * self.batch
                )  # words, most of them
                batch = log[first : first + few]
                messages: list[Any] = [
                    SourceRecord((*place, first + i), raw, START) for i, raw in enumerate(batch)
                ]
                if first + len(batch) == len(log):
                    messages.append(End((*place, len(log)), None, 0))
                worker.feed(messages)
                read += len(batch) if place in self.sources else 0
            self.most[place] = max(self.most[place], task.most_queued(True))
        worker.hold_sources(self.limit)
        steps = worker.take(self.batch)
        if self.rng.random() < aborts:
            assert all(worker.rollback(place, worker._positions[place]) for place in steps)
            return any(step.rows for step, _ in steps.values())
        for place, (step, _) in steps.items():
            for out in step.outgoing:
                for value, partition in zip(out.values, out.partitions, strict=True):
                    self.logs.setdefault((out.topic, max(0, partition)), []).append(value)
            step.when_visible(None)  # type: ignore[arg-type]
            worker.commit(place, step.position)
        return bool(read) or any(step.rows for step, _ in steps.values())

    def run(self, workers: list[OwnTasks], aborts: float = 0.0) -> None:
        """Until nothing happens for longer than anybody has patience."""
        quiet = 0
        while quiet < 4 * PATIENCE.max_hold / 1e3 / ROUND_S:
            moved = [self.round(workers[i], aborts) for i in self.rng.permutation(len(workers))]
            quiet = 0 if any(moved) else quiet + 1

    def check(self, sources: Sources) -> None:
        """All is answered as one process would."""
        expected, _ = fused(self.plan.whole, WINDOWS, CONTRACT, sources)
        assert self.answers.keys() == expected.keys()
        for partition, (offsets, rows) in expected.items():
            assert self.answers[partition][0] == offsets
            ours = zip(*self.answers[partition][1], strict=True)
            for mine, theirs in zip(ours, rows, strict=True):
                np.testing.assert_array_equal(np.concatenate(mine), theirs)


@pytest.mark.parametrize("seed", range(20))
def test_nobody_waits_for_ever_and_features_stay_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources = random_sources(rng, late_ms=80)
    limit, batch = int(rng.integers(1, 12)), int(rng.integers(1, 12))
    workers = int(rng.integers(1, 4))
    world = Workers(plan_of(TABLES), sources, rng, workers=workers, limit=limit, batch=batch)
    world.run(world.workers, aborts=float(rng.choice([0.0, 0.2])))
    world.check(sources)


def long_sources(rng: np.random.Generator, count: int) -> Sources:
    """Events of four partitions; the first is a second behind the others."""
    sources: Sources = {(EVENTS, p): [] for p in range(4)}
    for number in range(4 * count):
        customer = number % 4
        event = {
            "id": number,
            "time": START + number + 1_000 * (customer > 0),
            "customer": customer,
            "shop": f"s{rng.integers(0, 50)}",
            "device": None,
            "amount": 1.0,
        }
        put(sources, (EVENTS, customer), event, START)
    return sources | {(LABELS, 0): []}


def test_what_a_stage_cannot_keep_up_with_is_not_routed() -> None:
    """One partition of an entity is to take what four of the events bring."""
    rng = np.random.default_rng(1)
    sources = long_sources(rng, 3_000)
    world = Workers(plan_of(TABLES[:3]), sources, rng, workers=1, limit=200, batch=50, targets=1)
    world.run(world.workers)
    world.check(sources)
    assert 200 <= max(world.most.values()) < 400


def test_while_a_stage_is_down_no_more_is_routed_than_may_wait() -> None:
    """For longer than anybody waits for a source that is silent."""
    rng = np.random.default_rng(2)
    sources = long_sources(rng, 3_000)
    world = Workers(plan_of(TABLES[:3]), sources, rng, workers=2, limit=200, batch=50)
    for place in [place for worker in world.workers for place in worker.by_place]:
        world.give(place, int(place == (world.names.by_entity("shop"), 1)))
    world.run(world.workers[:1])
    assert 200 <= max(world.most.values()) < 400
    assert sum(len(offsets) for offsets, _ in world.answers.values()) < 400
    world.run(world.workers)
    world.check(sources)
    assert max(world.most.values()) < 600
