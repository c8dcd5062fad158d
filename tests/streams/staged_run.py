"""A whole staged scorer, on topics of its own, that answers each event by its id."""

import json
import uuid
from collections.abc import Callable
from time import time
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import TypeAdapter
from quiet_loop import staged_loop

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.features.declarations import FeatureDeclaration
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.fused.task import Answers
from streams.loop.settings import LoopSettings
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.worker.loop import StagedLoop
from streams.stages.worker.network import StageNetwork
from streams.transactions.outcome import Outgoing
from tests.restarts.group_lag import lag_of_group

MakeTopics = Callable[..., list[str]]

CONTRACT = EventContract(
    id="id",
    time="time",
    key="customer",
    fields={"id": {"type": "int"}, "customer": {"type": "int"}, "shop": {"type": "int"}},
)


class StagedRun:
    """Topics of two partitions, a group, and workers who answer.

    Attributes:
        rejected: reasons of what workers have told of.
    """

    def __init__(self, kafka: str, make_topics: MakeTopics) -> None:
        self.settings = KafkaSettings(bootstrap_servers=kafka)
        self.admin = AdminClient(self.settings.client_config())
        self.events, self.labels, self.scores, self.dead = make_topics(
            "events", "labels", "scores", "dead", partitions=2
        )
        self.stages = StageTopics(prefix=f"stages-{uuid.uuid4().hex[:8]}")
        self.plan = split_plan(_plan(), "customer")
        self.between = [self.stages.enriched, self.stages.by_entity("shop")]
        topics = [NewTopic(name, 2, 1) for name in self.between]
        for made in self.admin.create_topics(topics).values():
            made.result(30)
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.rejected: list[str] = []
        self._producer = Producer(
            {"bootstrap.servers": kafka, "transactional.id": self.group + "-in"}
        )
        self._producer.init_transactions(30)

    def loop(self) -> StagedLoop:
        def answer(work: InputBatch, rows: FeatureRows, seconds: float) -> Answers:
            ids = [str(event).encode() for event in work.events.ids]
            count = len(ids)
            return Answers(
                [Outgoing(self.scores, ids, [None] * count, [0] * count)], lambda _: None
            )

        def count(rejected: Any, labels: int = 0) -> None:
            self.rejected += [each.reason for each in rejected]

        network = StageNetwork(
            self.settings,
            self.plan,
            topics=TopicSettings(
                events=self.events, labels=self.labels, scores=self.scores, dead_letters=self.dead
            ),
            stages=self.stages,
            windows=WindowSettings(),
            alignment=AlignmentSettings(),
            decoder=Decoder(CONTRACT),
            answer=answer,
            check=lambda: None,
            count=count,
            now_ms=lambda: round(time() * 1_000),
        )
        return staged_loop(
            self.settings,
            LoopSettings(group=self.group, topology="staged", session_timeout="6s"),
            network.topics,
            network.new_task,
            dead_letters=self.dead,
            rejected=count,
        )

    def send(self, first: int) -> None:
        """Send ten events from that number on, and their labels, in a transaction."""
        now = round(time() * 1_000)
        self._producer.begin_transaction()
        for number in range(first, first + 10):
            event = {"id": number, "customer": number, "shop": number % 3, "time": now}
            self._producer.produce(self.events, json.dumps(event), partition=number % 2)
            label = {"event_id": number, "label": 1, "time": now}
            self._producer.produce(self.labels, json.dumps(label), partition=number % 2)
        self._producer.commit_transaction(30)

    def answered(self) -> list[int]:
        return sorted(
            int(each.value()) for batch in read_to_end(self.settings, self.scores) for each in batch
        )

    def at_rest(self) -> bool:
        lag = lag_of_group(self.admin, self.group)
        return len(lag) == 8 and not any(lag.values())


def _plan() -> FeaturePlan:
    tables = [
        {
            "name": "of the shop",
            "kind": "window",
            "entity": "shop",
            "aggregate": "count",
            "window": "1h",
        },
        {
            "name": "of the customer",
            "kind": "window",
            "entity": "customer",
            "aggregate": "count",
            "window": "1h",
        },
        {
            "name": "frauds",
            "kind": "label",
            "entity": "shop",
            "aggregate": "count",
            "window": "1h",
            "delay": "1m",
        },
    ]
    adapter: TypeAdapter[Any] = TypeAdapter(list[FeatureDeclaration])
    return FeaturePlan(adapter.validate_python(tables), CONTRACT)
