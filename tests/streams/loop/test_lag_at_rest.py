"""A group at rest has no lag by the broker's own view, whatever markers stand behind its input."""

import json
from collections.abc import Callable
from time import sleep

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from loop_world import PARTITIONS, START, World, running, wait
from running_sum import RunningSum
from staged_run import StagedRun

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
    run = StagedRun(kafka, make_topics)
    run.send(0)
    for sent in (20, 30):  # the second goes on where the first was at rest
        with running(run.loop()):
            wait(lambda: len(run.answered()) >= 10)
            run.send(sent - 10)
            wait(lambda sent=sent: run.answered() == list(range(sent)))
            wait(run.at_rest)
            before = len(commits)
            sleep(2.5)
            assert len(commits) == before, "it commits what it has committed"
