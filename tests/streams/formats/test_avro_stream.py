"""Kafka, a registry and the exactly-once loop: an outage delays answers, and changes none."""

import json
import uuid
from collections import defaultdict
from time import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry.avro import AvroSerializer
from framed_records import context, frame
from loop_world import running, wait
from running_sum import CONTRACT, RunningSum

from streams.formats import SchemaRegistrySettings, event_decoder
from streams.intake.intake import Intake
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.loop.fused.loop import FusedLoop
from streams.loop.settings import LoopSettings

AVRO = CONTRACT.model_copy(update={"format": "avro"})
OLD = {
    "type": "record",
    "name": "Payment",
    "fields": [{"name": name, "type": "long"} for name in ("id", "account", "amount", "at")],
}
NEW = OLD | {"fields": [*OLD["fields"], {"name": "shop", "type": ["null", "string"]}]}


class World:
    """Topics of two partitions, and a producer that writes with either schema."""

    def __init__(self, kafka, make_topics, registry):
        self.kafka, self.registry = kafka, registry
        self.events, self.answers, self.bad = make_topics("e", "answers", "bad", partitions=2)
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
        self.context = context(self.events)
        self.write = {
            name: AvroSerializer(registry.client(), json.dumps(schema))
            for name, schema in (("old", OLD), ("new", NEW))
        }
        for write in self.write.values():
            write({"id": 0, "account": 0, "amount": 0, "at": 0, "shop": None}, self.context)
        self.sent = []
        self.heard = []

    def send(self, schema, count, partition):
        """Events whose account is their partition."""
        for _ in range(count):
            number = len(self.sent)
            event = {"id": number, "account": partition, "amount": number * number % 97}
            event |= {"at": round(time() * 1_000), "shop": "s"}
            self.send_raw(self.write[schema](event, self.context), partition)
            self.sent.append(event)

    def send_raw(self, value, partition):
        self.producer.produce(self.events, value, partition=partition)
        assert self.producer.flush(60) == 0

    def loop(self):
        settings = SchemaRegistrySettings(url=self.registry.url, timeout="1s")
        decoder = event_decoder(AVRO, settings, self.heard.append)

        def new_intake():
            return Intake(
                *(AVRO, self.events, None, AlignmentSettings(), lambda: round(time() * 1_000)),
                decoder=decoder,
            )

        return FusedLoop(
            KafkaSettings(bootstrap_servers=self.kafka),
            LoopSettings(group=self.group, session_timeout="6s"),
            new_intake=new_intake,
            task=RunningSum(self.answers, self.bad),
        )

    def read(self, topic):
        settings = KafkaSettings(bootstrap_servers=self.kafka)
        return [each.value() for batch in read_to_end(settings, topic) for each in batch]

    def answered(self):
        return sorted(json.loads(value)["id"] for value in self.read(self.answers))

    def check(self):
        """Every event once, in order, every sum right."""
        sums = defaultdict(int)
        wanted = {}
        for event in self.sent:
            sums[event["account"]] += event["amount"]
            wanted[event["id"]] = sums[event["account"]]
        answers = [json.loads(value) for value in self.read(self.answers)]
        assert len(answers) == len(wanted)
        assert {answer["id"]: answer["sum"] for answer in answers} == wanted


def test_an_outage_of_the_registry(kafka, make_topics, registry):
    world = World(kafka, make_topics, registry)
    with running(world.loop()):
        for partition in (0, 1):
            world.send("old", 20, partition)
        wait(lambda: len(world.answered()) == 40)
        registry.freeze()
        try:
            world.send("new", 5, 0)
            world.send("old", 5, 0)
            world.send("old", 20, 1)
            wait(lambda: len(world.answered()) == 60)  # those of partition 1
            wait(lambda: False in world.heard)
            assert world.answered() == [*range(40), *range(50, 70)]
        finally:
            registry.thaw()
        strange = frame(2**30, b"x")
        world.send_raw(strange, 0)
        world.send("new", 5, 0)
        wait(lambda: len(world.answered()) == 75)
        wait(lambda: world.read(world.bad) == [strange])
        assert world.heard[-1] is True

    # A new process knows no schema, and needs both to restore its state.
    registry.freeze()
    try:
        with running(world.loop()):
            world.send("new", 5, 0)
            wait(lambda: world.heard[-1] is False)
            assert len(world.answered()) == 75
            registry.thaw()
            wait(lambda: len(world.answered()) == 80)
    finally:
        registry.thaw()
    world.check()
    assert world.read(world.bad) == [strange]
