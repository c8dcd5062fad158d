"""A staged worker reads its sources no further than it may while their records have to wait."""

import uuid
from collections.abc import Callable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from loop_world import running, wait
from quiet_loop import staged_loop
from staged_world import DEAD
from test_route_task import CONTRACT, START, Registry, plan_of, record

from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.topic_partitions import wait_until_known
from streams.loop.settings import LoopSettings
from streams.stages.common.messages import RowCodec, open_message
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.common.step import Step
from streams.stages.route.route_task import RouteTask
from streams.stages.route.router import EventRouter

EVENTS, BATCH, QUEUED = 2_000, 50, 200
PLAN = split_plan(plan_of([{"name": "amount", "kind": "field", "field": "amount"}]), "customer")


class Asked(RouteTask):
    """It counts how often the loop has come round."""

    asked = 0

    def take(self, limit: int) -> Step | None:
        self.asked += 1
        return super().take(limit)


def test_a_source_is_held_back_while_a_schema_is_missing(
    kafka: str, make_topics: Callable[..., list[str]]
) -> None:
    (source,) = make_topics("events")
    names = StageTopics(prefix=f"held-{uuid.uuid4().hex[:8]}")
    admin = AdminClient({"bootstrap.servers": kafka})
    for created in admin.create_topics([NewTopic(names.enriched, 1, 1)]).values():
        created.result(timeout=30)
    wait_until_known(admin, [names.enriched])
    settings = KafkaSettings(bootstrap_servers=kafka)
    producer = Producer(settings.producer_config())
    for number in range(EVENTS):
        producer.produce(source, record(number).value(), timestamp=START + number)
    assert producer.flush(30) == 0

    registry = Registry(CONTRACT)
    registry.missing = record(70).value()
    task = Asked(EventRouter(PLAN, names, 0, {}, DEAD, lambda: START, decoder=registry))
    loop = staged_loop(
        settings,
        LoopSettings(group=names.prefix, topology="staged", max_batch=BATCH, max_queued=QUEUED),
        [source],
        lambda topic, partition: task,
        dead_letters=DEAD,
    )

    def routed() -> list[int]:
        codec = RowCodec(CONTRACT, PLAN.fields, PLAN.digest)
        batches = read_to_end(settings, names.enriched)
        values = [each.value() for batch in batches for each in batch]
        return [row.offset for value in values for row in codec.decode(open_message(value)[1])[1]]

    with running(loop):
        wait(lambda: len(routed()) == 70 and task.waiting > QUEUED // 2)
        rounds = task.asked
        wait(lambda: task.asked >= rounds + EVENTS // BATCH)
        assert QUEUED // 2 < task.waiting < QUEUED + BATCH
        assert routed() == list(range(70))
        registry.missing = None
        wait(lambda: len(routed()) >= EVENTS)
        assert routed() == list(range(EVENTS))
