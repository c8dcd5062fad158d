"""A group at rest has no lag by the broker's own view, whatever markers stand behind its input."""

import json
import uuid
from collections.abc import Callable
from time import sleep, time
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from loop_world import PARTITIONS, START, World, running, wait
from pydantic import TypeAdapter
from running_sum import RunningSum

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.features.declarations import FeatureDeclaration
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.kafka.consuming import read_to_end
from streams.kafka.topics import TopicSettings
from streams.loop.settings import LoopSettings
from streams.loop.task import Answers
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.worker.loop import StagedLoop
from streams.stages.worker.network import StageNetwork
from streams.transactions.outcome import Outgoing
from streams.transactions.transactor import Transactor
from tests.restarts.group_lag import lag_of_group

MakeTopics = Callable[..., list[str]]


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many partitions each transaction committed."""
    seen: list[int] = []
    submit = Transactor.submit

    def counted(self, answers, positions, group):  # type: ignore[no-untyped-def]
        seen.append(len(positions))
        submit(self, answers, positions, group)

    monkeypatch.setattr(Transactor, "submit", counted)
    return seen


def test_markers_behind_the_last_event_are_committed_once(
    kafka: str, make_topics: MakeTopics, commits: list[int]
) -> None:
    world = World(kafka, make_topics)
    admin = AdminClient({"bootstrap.servers": kafka})
    world.producer = Producer({"bootstrap.servers": kafka, "transactional.id": world.group})
    world.producer.init_transactions(30)

    def send_in_a_transaction(count: int) -> None:
        world.producer.begin_transaction()
        world.send(count)
        world.producer.commit_transaction(30)

    def lag() -> dict[tuple[str, int], int]:
        return lag_of_group(admin, world.group)

    def at_rest() -> bool:
        return len(lag()) == PARTITIONS and not any(lag().values())

    send_in_a_transaction(20)
    with running(world.loop()):
        wait(at_rest)
        send_in_a_transaction(20)
        wait(lambda: world.answered() == world.sent)
        wait(at_rest)
        assert world.committed() == [12] * PARTITIONS  # 10 events and the markers behind them
        before = len(commits)
        sleep(2.5)
        assert len(commits) == before, "it commits what it has committed"
    send_in_a_transaction(20)
    task = RunningSum(world.answers)
    with running(world.loop(task)):
        wait(lambda: world.answered() == world.sent)
        wait(at_rest)
        # An abort behind all that goes back to the position that was committed at rest.
        world.producer.begin_transaction()
        event = {"id": 999, "account": 0, "amount": 0, "at": START}
        world.producer.produce(world.events, json.dumps(event), partition=0)
        world.producer.flush(30)
        world.producer.abort_transaction(30)
        wait(at_rest)
    assert (task.restored, task.resets) == (40, 1)
    world.check()


def test_all_stages_come_to_rest(kafka: str, make_topics: MakeTopics, commits: list[int]) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    admin = AdminClient(settings.client_config())
    events, labels, scores, dead = make_topics("events", "labels", "scores", "dead", partitions=2)
    topics = TopicSettings(events=events, labels=labels, scores=scores, dead_letters=dead)
    stages = StageTopics(prefix=f"rest-{uuid.uuid4().hex[:8]}")
    plan = split_plan(a_plan(), "customer")
    between = [stages.enriched, stages.by_entity("shop")]
    for made in admin.create_topics([NewTopic(name, 2, 1) for name in between]).values():
        made.result(30)
    group = f"group-{uuid.uuid4().hex[:8]}"

    def answer(work: InputBatch, rows: FeatureRows, seconds: float) -> Answers:
        ids = [str(event).encode() for event in work.events.ids]
        count = len(ids)
        return Answers([Outgoing(scores, ids, [None] * count, [0] * count)], lambda _: None)

    def new_loop() -> StagedLoop:
        network = StageNetwork(
            settings,
            plan,
            topics=topics,
            stages=stages,
            windows=WindowSettings(),
            alignment=AlignmentSettings(),
            decoder=Decoder(CONTRACT),
            answer=answer,
            check=lambda: None,
            count=lambda rejected: None,
            now_ms=lambda: round(time() * 1_000),
        )
        return StagedLoop(
            settings,
            LoopSettings(group=group, topology="staged", session_timeout="6s"),
            topics=network.topics,
            new_task=network.new_task,
            committed=lambda committed: None,
            aborted=lambda reason: None,
            observe=lambda states: None,
            claim=lambda stop: None,
        )

    producer = Producer({"bootstrap.servers": kafka, "transactional.id": group + "-in"})
    producer.init_transactions(30)

    def send(first: int) -> None:
        now = round(time() * 1_000)
        producer.begin_transaction()
        for number in range(first, first + 10):
            event = {"id": number, "customer": number, "shop": number % 3, "time": now}
            producer.produce(events, json.dumps(event), partition=number % 2)
            label = {"event_id": number, "label": 1, "time": now}
            producer.produce(labels, json.dumps(label), partition=number % 2)
        producer.commit_transaction(30)

    def answered() -> list[int]:
        return sorted(
            int(each.value()) for batch in read_to_end(settings, scores) for each in batch
        )

    def at_rest() -> bool:
        lag = lag_of_group(admin, group)
        return len(lag) == 8 and not any(lag.values())

    send(0)
    for sent in (20, 30):  # the second goes on where the first was at rest
        with running(new_loop()):  # type: ignore[arg-type]
            wait(lambda: len(answered()) >= 10)
            send(sent - 10)
            wait(lambda sent=sent: answered() == list(range(sent)))
            wait(at_rest)
            before = len(commits)
            sleep(2.5)
            assert len(commits) == before, "it commits what it has committed"


CONTRACT = EventContract(
    id="id",
    time="time",
    key="customer",
    fields={"id": {"type": "int"}, "customer": {"type": "int"}, "shop": {"type": "int"}},
)


def a_plan() -> FeaturePlan:
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
