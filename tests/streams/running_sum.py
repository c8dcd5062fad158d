"""A small task for the exactly-once loop: the running sum and count of each key.

Run as a program, it is a loop in a process of its own, which can be killed.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from time import time
from typing import Any

from streams.events.contract import EventContract, Field
from streams.features.repeat_filter import RepeatFilter
from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.loop.fused.loop import FusedLoop
from streams.loop.fused.task import Answers, StateMismatchError
from streams.loop.settings import LoopSettings
from streams.snapshots import SnapshotSettings
from streams.transactions.outcome import Committed, Outgoing

CONTRACT = EventContract(
    id="id",
    time="at",
    key="account",
    fields={"id": Field(type="int"), "account": Field(type="int"), "amount": Field(type="int")},
)


class RunningSum:
    """Answers each event with its account's sum and count, the event included."""

    def __init__(self, answers_topic: str, bad_topic: str | None = None) -> None:
        self.answers_topic = answers_topic
        self.bad_topic = bad_topic
        self.sums: dict[int, tuple[int, int]] = {}
        self.restored = 0
        self.resets = 0
        self.loads = 0
        self.undone = 0
        self.marks: list[dict[int, tuple[int, int]]] = []
        self.memory_ms = 10**15
        self.fails_for: set[int] = set()
        self.schema = b"sums"
        self.ballast = b""
        self.aborts: list[str] = []
        self.committed_events = 0
        self.visible = threading.Event()
        self.extra: Callable[[InputBatch], list[Outgoing]] = lambda work: []

    def reset(self) -> None:
        self.sums.clear()
        self.marks.clear()
        self.resets += 1

    def savepoint(self) -> None:
        self.marks.append(dict(self.sums))

    def commit(self) -> None:
        del self.marks[0]

    def rollback(self) -> None:
        self.sums, self.marks = self.marks[0], []
        self.undone += 1

    def dump(self) -> list[bytes | memoryview]:
        return [self.schema, json.dumps(list(self.sums.items())).encode(), self.ballast]

    def load(self, buffers: Sequence[memoryview]) -> None:
        schema, sums, _ = buffers
        if schema != self.schema:
            raise StateMismatchError("the state is of another schema")
        self.sums = {key: tuple(value) for key, value in json.loads(bytes(sums))}
        self.loads += 1

    def check(self) -> None:
        pass

    def restore(self, work: InputBatch) -> None:
        self._take(work)
        self.restored += len(work.events)

    def process(self, work: InputBatch) -> Answers:
        if self.fails_for & set(work.events.ids):
            raise ValueError("no answer to that")
        outgoing = [
            Outgoing(
                self.answers_topic,
                self._take(work),
                [str(key).encode() for key in work.events.keys],
                work.partitions.tolist(),
            )
        ]
        if self.bad_topic is not None:
            bad = [each.message.value() for each in work.bad]
            outgoing.append(Outgoing(self.bad_topic, bad, [None] * len(bad), [-1] * len(bad)))

        def visible(committed: Committed) -> None:
            self.committed_events += len(work.events)
            self.visible.set()

        return Answers(outgoing + self.extra(work), visible)

    def aborted(self, reason: str) -> None:
        self.aborts.append(reason)

    def _take(self, work: InputBatch) -> list[bytes]:
        answers = []
        rows = zip(
            work.events.ids,
            work.events.keys,
            work.events.values("amount"),
            work.partitions.tolist(),
            work.offsets.tolist(),
            strict=True,
        )
        for event_id, account, amount, partition, offset in rows:
            total, count = self.sums.get(account, (0, 0))
            self.sums[account] = total + amount, count + 1
            answer = {
                "id": event_id,
                "account": account,
                "sum": total + amount,
                "count": count + 1,
                "partition": partition,
                "offset": offset,
            }
            answers.append(json.dumps(answer).encode())
        return answers


def make_loop(
    bootstrap_servers: str, events_topic: str, task: RunningSum, group: str, **settings: Any
) -> FusedLoop:
    """A loop with short timeouts."""
    repeats: RepeatFilter | None = getattr(task, "repeats", None)

    def new_intake() -> Intake:
        now_ms = lambda: round(time() * 1_000)  # noqa: E731
        alignment = AlignmentSettings()
        return Intake(CONTRACT, events_topic, None, alignment, now_ms, repeats=repeats)

    snapshots = settings.pop("snapshots", None)
    snapshot_topic = settings.pop("snapshot_topic", None)
    position_log = settings.pop("position_log", "")
    widen = settings.pop("widen", lambda: None)
    writes = settings.pop("writes", ())
    defaults = {"session_timeout": "6s", "transaction_timeout": "10s"}
    return FusedLoop(
        KafkaSettings(bootstrap_servers=bootstrap_servers),
        LoopSettings(group=group, **(defaults | settings)),
        new_intake=new_intake,
        task=task,
        snapshots=SnapshotSettings(**snapshots) if snapshots else None,
        snapshot_topic=snapshot_topic,
        position_log=position_log,
        widen=widen,
        writes=writes,
    )


def main(arguments: Sequence[str]) -> None:
    """Run until SIGTERM; die in the middle of transaction number DIE_IN, where it is given."""
    bootstrap_servers, events, answers, group = arguments
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    loop = make_loop(
        bootstrap_servers,
        events,
        RunningSum(answers),
        group,
        max_batch=50,
        session_timeout="3s",  # the next process waits as long for a killed one's partitions
    )
    if "DIE_IN" in os.environ:
        _die_before_commit(int(os.environ["DIE_IN"]))
    loop.run(stop)


def _die_before_commit(number: int) -> None:
    """Kill this process when all of a transaction is with the broker, except its commit."""
    from streams.transactions import transactional_producer

    commits = 0

    class DoomedProducer(transactional_producer.Producer):  # type: ignore[misc]
        def commit_transaction(self, timeout: float) -> None:
            nonlocal commits
            commits += 1
            if commits == number:
                assert self.flush(10) == 0
                os.kill(os.getpid(), signal.SIGKILL)
            super().commit_transaction(timeout)

    transactional_producer.Producer = DoomedProducer


if __name__ == "__main__":
    main(sys.argv[1:])
