"""The topic of retraining: what was decided and why, and what the controller knows."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec

from monitoring.retraining.jobs.outbox import JOB
from monitoring.retraining.state import DECODE_STATE, ENCODE_STATE, ControllerState, Job
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import (
    ControlFollower,
    ControlReader,
    ControlRecord,
    write_control,
)

DECISION = "decision/"
"""What the keys of records begin with that say which job was decided, and what became of it."""
STATUS = "status"
_WRITE_S = 30.0


class RetrainingBook:
    """Reads the topic, and writes on it.

    Attributes:
        decided: the causes that had a job, by whichever controller.
        ordered: the orders that stand: each one's attempt, by the job's key.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._follower = ControlFollower(kafka, topic, self._hear)
        self._written: dict[str, bytes | None] = {}
        self.decided: set[str] = set()
        self.ordered: dict[str, int] = {}

    def close(self) -> None:
        """Leave the cluster."""
        self._follower.close()

    def look(self) -> None:
        """Read what has come since.

        Raises:
            KafkaException: the cluster failed.
        """
        self._follower.look()

    def write_down(self, state: ControllerState) -> None:
        """Write down the job at hand, and all that is known, where that is news.

        Raises:
            PublishError: the cluster did not take it.
        """
        if state.job is not None:
            self.write(DECISION + state.job.key, msgspec.json.encode(state.job))
        self.write(STATUS, ENCODE_STATE(state))

    def write(self, key: str, value: bytes | None) -> None:
        """Write a record, unless it is what we last wrote under its key.

        Raises:
            PublishError: the cluster did not take it.
        """
        if key in self._written and self._written[key] == value:
            return
        write_control(self._kafka, self._topic, key, value, _WRITE_S)
        self._written[key] = value

    def orders(self) -> dict[str, int]:
        """The orders that stand now."""
        self.look()
        return self.ordered

    def _hear(self, record: ControlRecord) -> None:
        if record.key.startswith(DECISION) and record.value is not None:
            job = _read(msgspec.json.Decoder(Job).decode, record.value)
            if job is not None:
                self.decided.add(job.cause.id)
        elif record.key.startswith(JOB):
            key = record.key.removeprefix(JOB)
            order = None if record.value is None else _read(msgspec.json.decode, record.value)
            if isinstance(order, dict) and isinstance(order.get("attempt"), int):
                self.ordered[key] = order["attempt"]
            else:
                self.ordered.pop(key, None)


def read_status(kafka: KafkaSettings, topic: str) -> tuple[ControllerState | None, list[Job]]:
    """What the controller wrote down last, and all jobs that were decided, the latest last.

    Raises:
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    with closing(ControlReader(kafka, topic)) as reader:
        latest = reader.read_to_end()
    jobs = [
        job
        for key, record in latest.items()
        if key.startswith(DECISION) and record.value is not None
        if (job := _read(msgspec.json.Decoder(Job).decode, record.value)) is not None
    ]
    status = latest.get(STATUS)
    state = None if status is None or status.value is None else _read(DECODE_STATE, status.value)
    return state, sorted(jobs, key=lambda job: job.decided)


def _read(decode: Callable[[bytes], Any], value: bytes) -> Any:
    """What somebody wrote; None where that is no such record."""
    try:
        return decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
