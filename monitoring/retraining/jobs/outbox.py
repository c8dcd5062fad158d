"""Leaves jobs to whoever reads the topic of retraining: Airflow, Argo, Prefect or a script."""

from collections.abc import Callable

import msgspec

from monitoring.retraining.jobs.job import JobSpec, JobState, RunnerError
from streams.kafka.records.publisher import PublishError

JOB = "job/"
"""What the keys of these records begin with."""


class JobOrder(msgspec.Struct, frozen=True):
    """Under ``job/KEY``: this job is to be run, as ``weir retrain`` does, given its `spec`.

    Attributes:
        attempt: from 1 on; a higher one is asked for only where the one before was given up.
    """

    key: str
    attempt: int
    spec: JobSpec


class OutboxRunner:
    """Writes an order for each job; takes it back when the job is over, or is to be ended.

    A job that was ordered counts as running until its model is in the registry, or its time is up:
    what became of it in between is the orchestrator's. A second order is the same record again.

    Args:
        write: puts a record on the topic, by key; None takes it back.
        ordered: the orders that stand on the topic: each one's attempt, by the job's key.
    """

    def __init__(
        self, write: Callable[[str, bytes | None], None], ordered: Callable[[], dict[str, int]]
    ) -> None:
        self._write = write
        self._ordered = ordered

    def submit(self, key: str, spec: JobSpec, attempt: int) -> None:
        """Write the order.

        Raises:
            RunnerError: the cluster did not take it.
        """
        self._said(key, msgspec.json.encode(JobOrder(key, attempt, spec)))

    def state(self, key: str, attempt: int) -> JobState:
        """Whether an order stands."""
        return "running" if self._ordered().get(key) == attempt else "unknown"

    def cancel(self, key: str) -> None:
        """Take the order back.

        Raises:
            RunnerError: the cluster did not take it.
        """
        self._said(key, None)

    def _said(self, key: str, value: bytes | None) -> None:
        try:
            self._write(JOB + key, value)
        except PublishError as error:
            raise RunnerError(f"job {key} can't be ordered: {error}") from error
