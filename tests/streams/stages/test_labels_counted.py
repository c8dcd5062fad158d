"""Every stage of an entity sees all labels: each is counted once, and matched by its event's."""

from collections.abc import Sequence

import numpy as np
from staged_world import DEAD, EVENTS, LABELS, Sources, World, put
from test_staged_network import START, TABLES, plan_of

from streams.events.rejection import Rejected
from streams.features.window_settings import WindowSettings
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.entity.entity_stage import EntityStage
from streams.stages.route.label_router import LabelRouter
from streams.transactions.outcome import Committed


def labelled_sources() -> Sources:
    """Six events of six shops, their labels, and labels of four ids that no event has."""
    sources: Sources = {}
    for i in range(6):
        event = {"id": i, "time": START + i, "customer": i, "shop": f"s{i}", "amount": 1.0}
        put(sources, (EVENTS, i % 2), event, START + i)
    for i in (*range(6), *range(100, 104)):
        value = {"event_id": i, "label": 1, "time": START + 10 + i}
        put(sources, (LABELS, 0), value, START + 10 + i)
    return sources


def test_labels_are_matched_in_one_partition_of_each_entity() -> None:
    plan = plan_of(TABLES)
    world = World(plan, WindowSettings(), labelled_sources(), 3, np.random.default_rng(3))
    world.run(crashes=0.0)
    matched: dict[str, int] = {}
    for task in world.tasks.values():
        if isinstance(task, EntityStage):
            for entity, count in task.state.newly_matched_labels().items():
                matched[entity] = matched.get(entity, 0) + count
    assert matched == {"shop": 6}


def test_a_router_counts_the_labels_that_it_takes_in() -> None:
    counted: list[tuple[int, int]] = []

    def count(rejected: Sequence[Rejected], labels: int) -> None:
        counted.append((len(rejected), labels))

    sources = labelled_sources()
    put(sources, (LABELS, 0), b"no label", START + 200)
    plan = split_plan(plan_of(TABLES), "customer")
    targets = {part.entity: 3 for part in plan.parts}
    router = LabelRouter(plan, StageTopics(), 0, targets, DEAD, lambda: 10**15, count)
    step = router.route(sources[LABELS, 0])  # type: ignore[arg-type]
    assert step is not None
    step.when_visible(Committed(0.0, 0.0))
    assert counted == [(1, 10)]
