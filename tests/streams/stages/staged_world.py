"""All stages in memory: logs, committed positions, workers that crash; and the fused reference."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from streams.events.contract import EventContract
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.features.repeat_filter import RepeatFilter
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.intake import Intake
from streams.intake.position import Position
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.partition import PartitionId
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.common.step import StagePosition, Step
from streams.stages.entity.entity_stage import EntityStage
from streams.stages.join.joiner import Joined, Joiner
from streams.stages.route.label_router import LabelRouter
from streams.stages.route.router import EventRouter

EVENTS, LABELS, DEAD = "weir.events", "weir.labels", "weir.dead-letters"
Dump = tuple[int, list[bytes]]


class SourceRecord(NamedTuple):
    """A consumed message, as the client would give it."""

    at: tuple[str, int, int]
    raw: bytes | None
    stamp: int
    marks: list[tuple[str, bytes]] | None = None

    def topic(self) -> str:
        return self.at[0]

    def partition(self) -> int:
        return self.at[1]

    def offset(self) -> int:
        return self.at[2]

    def timestamp(self) -> tuple[int, int]:
        return 1, self.stamp

    def key(self) -> None:
        return None

    def value(self) -> bytes | None:
        return self.raw

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self.marks

    def error(self) -> None:
        return None


Sources = dict[PartitionId, list[SourceRecord]]


def put(sources: Sources, place: PartitionId, value: Any, stamp: int) -> None:
    log = sources.setdefault(place, [])
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    log.append(SourceRecord((*place, len(log)), raw, stamp))


class World:
    """Runs the stages in a random order, a transaction at a time."""

    def __init__(
        self,
        plan: FeaturePlan,
        windows: WindowSettings,
        sources: Sources,
        targets: int,
        rng: np.random.Generator,
        *,
        key: str | None = "customer",
        batch: int = 12,
        prefix: str = "weir",
        committed: Mapping[PartitionId, StagePosition] | None = None,
        snapshots: float = 0.0,
    ) -> None:
        self.rng, self.sources, self.batch = rng, sources, batch
        self.snapshots = snapshots
        self.dumps: dict[PartitionId, list[Dump]] = {}
        self.resumed = 0
        self.plan, self.windows = split_plan(plan, key), windows
        self.names = StageTopics(prefix=prefix)
        self.contract = plan.contract
        self.targets = {part.entity: targets for part in self.plan.parts}
        self.now, self.steady = 10**15, 0
        self.logs: dict[PartitionId, list[bytes | None]] = {}
        self.committed = dict(committed or {})
        self.joined: list[Joined] = []
        self.events = sum(topic == EVENTS for topic, _ in sources)
        self.labels = sum(topic == LABELS for topic, _ in sources)
        places = [*sources, *((self.names.enriched, p) for p in range(self.events))]
        for entity in self.targets:
            places += [(self.names.by_entity(entity), q) for q in range(targets)]
        self.tasks: dict[PartitionId, Any] = {}
        for place in places:
            self.restart(place)

    def new_task(self, place: PartitionId) -> Any:
        topic, partition = place
        args = (self.plan, self.names, partition, self.targets, DEAD, lambda: self.now)
        if topic == EVENTS:
            return EventRouter(*args)
        if topic == LABELS:
            return LabelRouter(*args)
        if topic == self.names.enriched:
            return Joiner(self.contract, self.plan, self.windows, partition)
        part = next(p for p in self.plan.parts if self.names.by_entity(p.entity) == topic)
        return EntityStage(
            self.contract,
            part=part,
            windows=self.windows,
            alignment=AlignmentSettings(max_idle="1s", max_hold="2s", live_within="1s"),
            events=self.events,
            labels=self.labels,
            enriched=self.names.enriched,
            now_ms=lambda: self.now,
            steady_ms=lambda: self.steady,
        )

    def restart(self, place: PartitionId) -> None:
        """Lose everything that was not committed; begin with any of the snapshots, or with none."""
        task = self.tasks[place] = self.new_task(place)
        dumps = self.dumps.get(place, [])
        memory = getattr(task, "memory", None)
        if dumps and self.rng.random() < 0.8:
            offset, dump = dumps[int(self.rng.integers(len(dumps)))]
            task.begin(self.committed.get(place), [memoryview(buffer) for buffer in dump])
            assert (memory or task).next_offset == offset
            self.resumed += 1
        else:
            task.begin(self.committed.get(place))
        while memory is not None and not memory.complete:
            first = memory.next_offset
            task.remember(self.sources[place][first : min(first + self.batch, memory.routed_to)])

    def write_down(self, place: PartitionId) -> None:
        """Now and then keep what a forked child would write at this moment."""
        task = self.tasks[place]
        memory = getattr(task, "memory", None)
        keeps_state = getattr(task, "keeps_windows", place not in self.sources) or memory
        if keeps_state and self.rng.random() < self.snapshots:
            dump = [bytes(buffer) for buffer in (memory or task).dump()]
            self.dumps.setdefault(place, []).append((self.committed[place].offset, dump))

    def commit(self, place: PartitionId, outgoing: Iterable[Any], position: StagePosition) -> None:
        for out in outgoing:
            for value, partition in zip(out.values, out.partitions, strict=True):
                self.logs.setdefault((out.topic, max(0, partition)), []).append(value)
        self.committed[place] = position

    def turn(self, place: PartitionId, crash: bool) -> bool:
        """Let a task read a little and commit one transaction; whether it did anything."""
        task = self.tasks[place]
        count = int(self.rng.integers(1, self.batch))
        log: list[Any] = self.sources.get(place) or self.logs.get(place, [])
        first = task.next_offset
        read = log[first : first + count]
        ended = first + len(read) == len(log)
        if place in self.sources:
            step: Any = task.route(read, len(log) if ended else None)
        else:
            task.feed(enumerate(read, first))
            if ended:
                task.ended(len(log))
            step = task.take(int(self.rng.integers(1, self.batch)))
        moved = bool(read) or step is not None
        if step is None and self.rng.random() < 0.3:
            rest = task.rest()
            step = Step([], rest) if isinstance(rest, StagePosition) else rest
        if crash:
            if step is not None and self.rng.random() < 0.5:
                task.rollback()  # the transaction was aborted
            else:
                self.restart(place)
            return True
        if step is not None:
            task.commit()
        if isinstance(step, Joined):
            self.joined.append(step)
            self.commit(place, [], step.position)
        elif step is not None:
            self.commit(place, step.outgoing, step.position)
        if step is not None:
            self.write_down(place)
        return moved

    def run(self, crashes: float) -> None:
        """Until there is nothing more to do; later rounds are without crashes, so that it ends."""
        places = list(self.tasks)
        quiet = rounds = 0
        while quiet < 4:
            rounds += 1
            crashes *= rounds < 25
            moved = False
            for place in self.rng.choice(len(places), 2 * len(places)).tolist():
                moved |= self.turn(places[place], self.rng.random() < crashes)
            if not moved:
                for place in places:
                    moved |= self.turn(place, False)
            if not moved:
                # Everything was read, and everybody waits for somebody: time goes by.
                self.steady += 1_500
            quiet = 0 if moved else quiet + 1

    def run_a_little(self, turns: int) -> None:
        """So many turns, then all is lost that was not committed."""
        places = list(self.tasks)
        for place in self.rng.choice(len(places), turns).tolist():
            self.turn(places[place], False)

    def answers(self) -> dict[int, tuple[list[int], FeatureRows]]:
        """For each partition the offsets in the order of answers, and their features."""
        answers = {}
        for partition in range(self.events):
            mine = [each for each in self.joined if each.partition == partition]
            offsets = [offset for each in mine for offset in each.offsets.tolist()]
            if mine:
                columns = zip(*(each.rows for each in mine), strict=True)
                rows = FeatureRows(*(np.concatenate(column) for column in columns))
                answers[partition] = offsets, rows
        return answers


def fused(
    plan: FeaturePlan, windows: WindowSettings, contract: EventContract, sources: Sources
) -> tuple[dict[int, tuple[list[int], FeatureRows]], int]:
    """The same by one state over the aligned stream; and how many records were bad."""
    has_labels = any(topic == LABELS for topic, _ in sources)
    intake = Intake(
        contract,
        EVENTS,
        LABELS if has_labels else None,
        AlignmentSettings(),
        lambda: 10**15,
        repeats=RepeatFilter.of(contract),
    )
    intake.assign([Position(*place, 0) for place in sources])
    for place, log in sources.items():
        intake.feed(log)  # type: ignore[arg-type]
        intake.finish(*place)
    work = intake.take(1_000_000_000)
    assert work is not None
    rows = FeatureState(plan, windows).update(work.events, work.labels)
    answers = {}
    for partition in np.unique(work.partitions).tolist():
        places = np.flatnonzero(work.partitions == partition)
        answers[partition] = (
            work.offsets[places].tolist(),
            FeatureRows(*(column[places] for column in rows)),
        )
    return answers, len(work.bad)
