"""What the stages commit beside their offsets is measured before the first record."""

from typing import Any

import pytest
from pydantic import TypeAdapter
from test_staged_network import CUSTOMER_FRAUDS, START, TABLES, plan_of, window

from streams.events.contract import EventContract
from streams.features.declarations import FeatureDeclaration
from streams.features.plan import FeaturePlan
from streams.kafka.topics.topic_partitions import TopicError
from streams.stages.common.consumed_rows import ConsumedRows
from streams.stages.common.feature_version import Version
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.common.step import MAX_METADATA, StagePosition, pack, unpack
from streams.stages.route.router import EventRouter
from streams.stages.route.routing import LONGEST_TIE, Progress, Routed
from streams.stages.worker.metadata_room import check_metadata_room

PLAN = split_plan(plan_of([*TABLES, CUSTOMER_FRAUDS]), "customer")


def test_what_passes_fits_however_large_the_offsets_become() -> None:
    check_metadata_room(PLAN, StageTopics(), 150, 100)
    queues = {(event, each): 2**63 - 1 for event in (True, False) for each in range(100)}
    assert len(ConsumedRows(0, 2**63 - 1, queues).position.metadata) < MAX_METADATA


def test_too_many_partitions_are_refused_with_the_settings_that_mend_it() -> None:
    with pytest.raises(TopicError, match=r"entity 'shop'.* 300 partitions.*topics.partitions"):
        check_metadata_room(PLAN, StageTopics(), 200, 100)
    check_metadata_room(split_plan(plan_of(TABLES[:1]), "customer"), StageTopics(), 200, 100)


def test_too_many_entities_are_refused_too() -> None:
    entities = [f"an_entity_{number}" for number in range(150)]
    fields = {name: {"type": "int"} for name in ("id", *entities)}
    contract = EventContract(id="id", time="time", key="an_entity_0", fields=fields)
    tables = [window(f"{entity} count", entity, "count") for entity in entities]
    adapter: TypeAdapter[Any] = TypeAdapter(list[FeatureDeclaration])
    plan = FeaturePlan(adapter.validate_python(tables), contract)
    with pytest.raises(TopicError, match=r"149 entities.*stages.prefix"):
        check_metadata_room(split_plan(plan, "an_entity_0"), StageTopics(), 1, 0)


def test_the_longest_id_does_not_stop_a_router() -> None:
    """It is remembered to order what comes at the same time; so much of it is enough."""
    names = StageTopics()
    targets = {part.entity: 1 for part in PLAN.parts}
    router = EventRouter(PLAN, names, 0, targets, "dead", lambda: START)
    progress = Progress(START, "é" * 5_000)
    router.begin(StagePosition(7, pack(Routed(Progress(START), Version.of(PLAN, names)))))
    router._progress, router._next = progress, 8
    step = router.rest()
    assert step is not None
    assert unpack(step.position.metadata, Routed).progress.tie == "é" * LONGEST_TIE
