"""Staged features equal fused ones, cell by cell, whatever the workers' order and crashes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from staged_world import DEAD, EVENTS, LABELS, Sources, World, fused, put

from streams.events.contract import EventContract
from streams.features.declarations import FeatureDeclaration
from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings
from streams.kafka.partition import PartitionId
from streams.stages.common.feature_version import Version
from streams.stages.common.messages import MessageError
from streams.stages.common.step import StagePosition
from streams.stages.worker.migrated_offsets import migrated_offsets

CONTRACT = EventContract(
    id="id",
    time="time",
    key="customer",
    fields={
        "id": {"type": "int"},
        "customer": {"type": "int"},
        "shop": {"type": "string", "required": False},
        "device": {"type": "int", "required": False},
        "amount": {"type": "float", "required": False},
    },
)
START = 1_700_000_000_000


def window(name: str, entity: str, aggregate: str, **more: Any) -> dict[str, Any]:
    table = {"name": name, "kind": "window", "entity": entity, "aggregate": aggregate}
    return table | {"window": "40ms"} | more


TABLES: list[dict[str, Any]] = [
    window("shop count", "shop", "count"),
    {"name": "amount", "kind": "field", "field": "amount"},
    window("customer mean", "customer", "mean", field="amount"),
    window("shop mean", "shop", "mean", field="amount", window="2s"),
    {"name": "hour", "kind": "calendar", "part": "hour"},
    window("shop last", "shop", "last", field="amount"),
    window("customer gap", "customer", "time_since"),
    window("device shops", "device", "distinct", field="shop", window="300ms"),
    {
        "name": "shop frauds",
        "kind": "label",
        "entity": "shop",
        "aggregate": "count",
        "window": "300ms",
        "delay": "20ms",
    },
    {
        "name": "shop ratio",
        "kind": "history_ratio",
        "entity": "shop",
        "field": "amount",
        "window": "100ms",
    },
]
CUSTOMER_FRAUDS = {
    "name": "customer frauds",
    "kind": "label",
    "entity": "customer",
    "aggregate": "rate",
    "window": "300ms",
    "delay": "20ms",
}


def plan_of(tables: list[dict[str, Any]], contract: EventContract = CONTRACT) -> FeaturePlan:
    adapter: TypeAdapter[Any] = TypeAdapter(list[FeatureDeclaration])
    return FeaturePlan(adapter.validate_python(tables), contract)


def random_sources(rng: np.random.Generator, late_ms: int) -> Sources:
    """Events of customers in their partitions, some late, some bad, some at the same time."""
    partitions, labels = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    sources: Sources = {(EVENTS, p): [] for p in range(partitions)}
    sources |= {(LABELS, p): [] for p in range(labels)}
    now = START
    known: list[tuple[int, int, int]] = []
    ids = rng.permutation(400).tolist()
    for _ in range(int(rng.integers(10, 150))):
        now += int(rng.choice([0, 0, 1, 3, 10, 60]))
        customer, event_id = int(rng.integers(0, 9)), ids.pop()
        late = int(rng.integers(0, late_ms + 1)) if late_ms and rng.random() < 0.3 else 0
        event = {
            "id": event_id,
            "time": now - late,
            "customer": customer,
            "shop": None if rng.random() < 0.1 else f"s{rng.integers(0, 4)}",
            "device": None if rng.random() < 0.1 else int(rng.integers(0, 5)),
            "amount": None if rng.random() < 0.1 else float(np.round(rng.normal(0, 100), 2)),
        }
        place = (EVENTS, customer % partitions)
        if rng.random() < 0.05:
            put(sources, place, b'{"id": "none"', now)
        put(sources, place, event, now)
        if rng.random() < 0.5:
            known.append((now + int(rng.integers(0, 40)), event_id, int(rng.integers(0, 2))))
    for time, event_id, label in sorted(known):
        value = {"event_id": event_id, "label": label, "time": time}
        put(sources, (LABELS, event_id % labels), value, time)
    return sources


MANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def check_exactly_once(world: World, sources: Sources) -> tuple[Any, Any]:
    plan = world.plan.whole
    expected, bad = fused(plan, world.windows, CONTRACT, sources)
    found = world.answers()
    assert {p: offsets for p, (offsets, _) in found.items()} == {
        p: offsets for p, (offsets, _) in expected.items()
    }
    assert len(world.logs.get((DEAD, 0), [])) == bad
    return found, expected


@MANY
@given(
    seed=st.integers(0, 2**32 - 1),
    crashes=st.sampled_from([0.0, 0.1, 0.4]),
    key=st.sampled_from(["customer", None]),
    tables=st.sampled_from([TABLES, [*TABLES, CUSTOMER_FRAUDS], TABLES[:1], TABLES[1:3]]),
    snapshots=st.sampled_from([0.0, 0.2]),
)
def test_equal_to_fused_with_crashes(
    seed: int, crashes: float, key: str | None, tables: list[dict[str, Any]], snapshots: float
) -> None:
    rng = np.random.default_rng(seed)
    sources = random_sources(rng, late_ms=80)
    windows = WindowSettings(allowed_lateness="1s")
    world = World(
        plan_of(tables),
        windows,
        sources,
        int(rng.integers(1, 4)),
        rng,
        key=key,
        snapshots=snapshots,
    )
    world.run(crashes)
    found, expected = check_exactly_once(world, sources)
    for partition, (_, rows) in expected.items():
        for ours, theirs in zip(found[partition][1], rows, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@MANY
@given(
    seed=st.integers(0, 2**32 - 1),
    crashes=st.sampled_from([0.0, 0.2]),
    snapshots=st.sampled_from([0.0, 0.2]),
)
def test_what_fused_has_not_marked_late_is_equal(
    seed: int, crashes: float, snapshots: float
) -> None:
    """A stage sees the time of its own events only: it forgets no earlier than fused does."""
    rng = np.random.default_rng(seed)
    sources = random_sources(rng, late_ms=400)
    windows = WindowSettings(allowed_lateness="30ms")
    world = World(
        plan_of(TABLES), windows, sources, int(rng.integers(1, 4)), rng, snapshots=snapshots
    )
    world.run(crashes)
    found, expected = check_exactly_once(world, sources)
    for partition, (_, rows) in expected.items():
        ours = found[partition][1]
        assert not (ours.late & ~rows.late).any()
        np.testing.assert_array_equal(ours.matrix[~rows.late], rows.matrix[~rows.late])


@settings(MANY, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), crashes=st.sampled_from([0.0, 0.3]))
def test_the_same_entities_and_labels_leave_where_there_are_too_many(
    seed: int, crashes: float
) -> None:
    """Each partition of an entity counts by itself: with one, it is as in a fused scorer."""
    rng = np.random.default_rng(seed)
    sources = random_sources(rng, late_ms=80)
    windows = WindowSettings(allowed_lateness="1s", max_entities=3, max_waiting_labels=2)
    plan = plan_of([*TABLES, CUSTOMER_FRAUDS])
    world = World(plan, windows, sources, 1, rng, key=None, snapshots=0.2)
    world.run(crashes)
    found, expected = check_exactly_once(world, sources)
    for partition, (_, rows) in expected.items():
        for ours, theirs in zip(found[partition][1], rows, strict=True):
            np.testing.assert_array_equal(ours, theirs)


REMEMBERED_MS = 200
ONCE = CONTRACT.model_copy(update={"deduplicate": REMEMBERED_MS})


def with_repeats(
    sources: Sources, rng: np.random.Generator, most: int
) -> tuple[Sources, Sources, int]:
    """Sources with events that come again, soon or late; the same without the repeats among them.

    Args:
        most: how many ids are remembered.

    Returns:
        these, and how many events came again when they were forgotten.
    """
    repeated: Sources = {place: [] for place in sources}
    clean: Sources = {place: [] for place in sources}
    again = 0
    for place, log in sources.items():
        seen: dict[int, int] = {}
        clock = 0
        for number, record in enumerate(log):
            chosen = [record]
            if place[0] == EVENTS and rng.random() < 0.5:
                chosen.append(log[int(rng.integers(max(0, number - 20), number + 1))])
            for each in chosen:
                put(repeated, place, each.raw, record.stamp)
                if place[0] == EVENTS and b"time" in (each.raw or b""):
                    event = json.loads(each.raw or b"")
                    now = max(clock, event["time"])
                    remembered = dict(list(seen.items())[-most:])
                    if now - remembered.get(event["id"], -REMEMBERED_MS) <= REMEMBERED_MS:
                        continue
                    again += seen.pop(event["id"], None) is not None
                    clock = seen[event["id"]] = now
                clean[place].append(repeated[place][-1])
    return repeated, clean, again


@MANY
@given(
    seed=st.integers(0, 2**32 - 1),
    crashes=st.sampled_from([0.0, 0.1, 0.4]),
    snapshots=st.sampled_from([0.0, 0.2]),
    most=st.sampled_from([1, 4, 1_000]),
)
def test_repeats_change_nothing(seed: int, crashes: float, snapshots: float, most: int) -> None:
    """Neither in one process nor in stages, of which some crash, with snapshots or without."""
    rng = np.random.default_rng(seed)
    sources, clean, _ = with_repeats(random_sources(rng, late_ms=80), rng, most)
    windows = WindowSettings(allowed_lateness="1s")
    once = ONCE.model_copy(update={"max_remembered_ids": most})
    plan = plan_of(TABLES, once)
    expected, bad = fused(plan, windows, CONTRACT, clean)
    world = World(plan, windows, sources, int(rng.integers(1, 4)), rng, snapshots=snapshots)
    world.run(crashes)
    assert len(world.logs.get((DEAD, 0), [])) == bad
    for found in (world.answers(), fused(plan, windows, once, sources)[0]):
        assert found.keys() == expected.keys()
        for partition, (offsets, rows) in expected.items():
            assert found[partition][0] == offsets
            for ours, theirs in zip(found[partition][1], rows, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_the_repeats_of_these_tests_come_in_and_out_of_time_and_room() -> None:
    forgotten = []
    for most in (1_000, 4):
        rng = np.random.default_rng(1)
        drawn = [with_repeats(random_sources(rng, late_ms=80), rng, most) for _ in range(25)]
        left_out = sum(len(a[p]) - len(b[p]) for a, b, _ in drawn for p in a)
        assert left_out > 200
        forgotten.append(sum(again for _, _, again in drawn))
    assert 100 < forgotten[0] < forgotten[1] // 2


def succeeded(world: World, prefix: str, plan: FeaturePlan) -> dict[PartitionId, StagePosition]:
    """What other features begin with, where a world was left."""
    after = World(plan, world.windows, world.sources, 1, world.rng, prefix=prefix)
    enriched = [(world.names.enriched, p) for p in range(world.events)]
    return migrated_offsets(
        {place: world.committed.get(place) for place in [*world.sources, *enriched]},
        dict.fromkeys(world.sources, 0),
        world.names.enriched,
        after.names.enriched,
        Version.of(after.plan, after.names),
    )


@settings(MANY, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), crashes=st.sampled_from([0.0, 0.3]))
def test_other_features_go_on_where_the_former_ended(seed: int, crashes: float) -> None:
    """In new stage topics, twice in a row; each event is answered once, and bad ones told once."""
    rng = np.random.default_rng(seed)
    sources = random_sources(rng, late_ms=80)
    windows = WindowSettings(allowed_lateness="1s")
    worlds = [World(plan_of(TABLES[:3]), windows, sources, 2, rng)]
    worlds[0].run_a_little(int(rng.integers(0, 120)))
    for prefix, tables in (("other", TABLES[:8]), ("third", TABLES)):
        committed = succeeded(worlds[-1], prefix, plan_of(tables))
        targets = int(rng.integers(1, 4))
        worlds.append(
            World(
                plan_of(tables), windows, sources, targets, rng, prefix=prefix, committed=committed
            )
        )
        if prefix == "other":
            worlds[-1].run_a_little(int(rng.integers(0, 200)))
    worlds[-1].run(crashes)

    letters = sum(len(world.logs.get((DEAD, 0), [])) for world in worlds)
    answered = [world.answers() for world in worlds]
    for world, answers in zip(worlds, answered, strict=True):
        expected, bad = fused(world.plan.whole, windows, CONTRACT, sources)
        assert letters == bad
        for partition, (offsets, rows) in expected.items():
            ours, found = answers.get(partition, ([], None))
            before = [each.get(partition, ([], None))[0] for each in answered]
            assert [offset for part in before for offset in part] == offsets
            at = np.searchsorted(offsets, ours)
            for mine, theirs in zip(found or (), rows if found else (), strict=True):
                np.testing.assert_array_equal(mine, theirs[at])


def test_a_worker_with_former_features_is_refused_once_the_group_has_gone_on() -> None:
    rng = np.random.default_rng(1)
    world = World(plan_of(TABLES[:3]), WindowSettings(), random_sources(rng, 0), 2, rng)
    world.run(0.0)
    world.committed |= succeeded(world, "other", plan_of(TABLES))
    for place in [*world.sources, (world.names.enriched, 0)]:
        with pytest.raises(MessageError, match=r"gone on with .*'other'"):
            world.restart(place)


def test_records_put_there_by_hand_are_read_or_refused_with_a_reason() -> None:
    """Whatever else they raised would be a stack trace for the user."""
    rng = np.random.default_rng(5)
    sources = random_sources(rng, 0)
    world = World(plan_of(TABLES), WindowSettings(), sources, 1, rng)
    world.run(0.0)
    logs = [(place, log) for place, log in world.logs.items() if place[0] != DEAD]
    refused = 0
    for _ in range(400):
        place, log = logs[int(rng.integers(len(logs)))]
        at = int(rng.integers(len(log)))
        value = bytearray(log[at] or b"")
        for _ in range(int(rng.integers(1, 4))):
            value[int(rng.integers(len(value)))] = int(rng.choice([0, 0x7F, 0xCF, 0xD3, 0xFF]))
        task = world.new_task(place)
        try:
            task.feed(enumerate([*log[:at], bytes(value), *log[at + 1 :]]))
            task.take(1_000)
        except MessageError:
            refused += 1
    assert refused > 100
