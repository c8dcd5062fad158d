"""Replays a file: its events to the events topic and, when they are due, labels to theirs.

Both go through one producer in the order of event time: a label that is due at T goes out before
the first event at or after T. Between them, progress marks go to every partition of the labels
topic: "all labels up to X have been sent", X being the time of the last event sent. A mark follows
the labels it speaks of, because an idempotent producer keeps the order of each partition.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from streams.base.errors import WeirError
from streams.events.labels import LabelSettings
from streams.files.columns import UNLABELLED
from streams.files.event_file import EventFile
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.records.publisher import Publisher
from streams.kafka.topics.topic_partitions import TopicError
from streams.kafka.topics.weir_topics import Role, TopicSettings, partition_counts
from streams.replay.pace import Pace, Schedule
from streams.replay.sender import ReplaySender

if TYPE_CHECKING:
    from streams.tracing.tracer import Tracer

Progress = Callable[[int, int], None]
"""Called with how many events were sent, and how many are to be."""

_CHUNK = 500
"""Events that are encoded at once, and after which a mark is due."""
_MARK_S = 0.005
_SLICE_S = 0.005


class ReplayError(WeirError):
    """There is nothing to replay, or not in this way; the message says what to change."""


@dataclass(frozen=True)
class ReplayReport:
    """What a replay sent; all of it was acknowledged by Kafka.

    Attributes:
        events, labels, marks: records of each kind.
        labels_not_due: labels of events sent so far that were not due by the end, and not sent.
        first_ms, last_ms: times of the first and the last event sent, None if there was none.
        resume_from_ms: the `start_ms` that goes on from here, None at the end of the file. Where
            the replay ended among events of one millisecond, those are sent again: their ids tell.
        stopped: it was stopped before its end.
        seconds: wall time from the first event to the last acknowledgement.
    """

    events: int
    labels: int
    marks: int
    labels_not_due: int
    first_ms: int | None
    last_ms: int | None
    resume_from_ms: int | None
    stopped: bool
    seconds: float

    @property
    def events_per_second(self) -> float:
        """The rate that was reached."""
        return self.events / self.seconds


class Replayer:
    """Replays the events and labels of a file whose times lie in ``[start_ms, stop_ms)``.

    Consecutive spans send every label once: one that is due in a span belongs to it, whenever its
    event was. After the last event of the file, labels are sent only with `flush_labels`.

    Args:
        file: opened with a label column if labels are to be sent.
        labels: when they become known.
        send_labels: with "none" the labels topic is left alone, marks included.
        flush_labels: at the end, send also the labels of the events sent that are not due yet.
        limit: at most so many events.
        tracer: begins a trace with some of the events; None for none.

    Raises:
        ReplayError: no event lies in the span, or the file has no labels and they are wanted.
    """

    def __init__(
        self,
        file: EventFile,
        kafka: KafkaSettings,
        topics: TopicSettings,
        labels: LabelSettings,
        pace: Pace,
        *,
        send_labels: Literal["all", "none"] = "all",
        flush_labels: bool = False,
        start_ms: int | None = None,
        stop_ms: int | None = None,
        limit: int | None = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        if file.contract.format != "json":
            raise ReplayError(
                f"event.format is {file.contract.format!r}, and a replay publishes JSON: "
                "set event.format to 'json', or publish with your own producer"
            )
        self._file = file
        self._kafka = kafka
        self._topics = topics
        self._pace = pace
        self._tracer = tracer
        self._flush_labels = flush_labels
        self._start_ms = start_ms
        self._stop_ms = stop_ms
        self._first, self._span_end = file.span(start_ms, stop_ms)
        self._end = self._span_end if limit is None else min(self._first + limit, self._span_end)
        if self._first == self._end:
            raise ReplayError(
                f"{file.path}: no event to replay in the span asked for; the file's times run from "
                f"{_iso(file.times[0])} to {_iso(file.times[-1])}"
            )
        self._sends_labels = send_labels == "all"
        self._label_rows = np.empty(0, np.intp)
        if self._sends_labels:
            if file.labels is None:
                raise ReplayError(
                    f"{file.path}: opened without a label column: name it in labels.field, or "
                    "replay without labels"
                )
            self._label_rows = np.flatnonzero(file.labels[: self._end] != UNLABELLED)
        self._due = file.times[self._label_rows] + labels.delay

    def run(self, stop: threading.Event, progress: Progress | None = None) -> ReplayReport:
        """Send until the end or until `stop` is set; then wait for all acknowledgements.

        Raises:
            KafkaUnavailableError: no broker answered.
            TopicError: a topic is missing.
            PublishError: a record did not arrive.
        """
        partitions = self._label_partitions()
        with Publisher(self._kafka) as publisher:
            return self._run(publisher, partitions, stop, progress or (lambda done, total: None))

    def _run(
        self, publisher: Publisher, partitions: int, stop: threading.Event, progress: Progress
    ) -> ReplayReport:
        first, end, times = self._first, self._end, self._file.times
        sender = ReplaySender(
            self._file, self._topics, self._label_rows, self._due, publisher, self._tracer
        )
        begin = int(times[first])
        if self._start_ms is not None:
            # Labels that were due earlier belong to an earlier span.
            begin = self._start_ms
            sender.next_label = int(np.searchsorted(self._due, begin))
        sender.mark(begin - 1, partitions)
        # Here a topic that can't be written to shows, and connecting is over.
        publisher.flush()

        started = marked_at = perf_counter()
        schedule = Schedule(self._pace, times[first:end])
        position = marked = first
        reached = begin - 1
        while not stop.is_set():
            count, due_to = schedule.due()
            target = first + count
            while position < target and not stop.is_set():
                upto = min(position + _CHUNK, target)
                sender.send(position, upto)
                position, reached = upto, int(times[upto - 1])
                now = perf_counter()
                if position - marked >= _CHUNK or now - marked_at >= _MARK_S:
                    sender.mark(reached, partitions)
                    marked, marked_at = position, now
                publisher.poll()
                progress(position - first, end - first)
            if position == end:
                break
            if position == target and due_to > reached:
                sender.send_labels(due_to)
                reached = due_to
            if position > marked and perf_counter() - marked_at >= _MARK_S:
                sender.mark(int(times[position - 1]), partitions)
                marked, marked_at = position, perf_counter()
            publisher.poll()
            stop.wait(_SLICE_S)

        finished = position == end
        if finished and end == self._span_end < len(self._file):
            assert self._stop_ms is not None
            reached = self._stop_ms - 1
            sender.send_labels(reached)
        of_events_sent = int(np.searchsorted(self._label_rows, position))
        if finished and self._flush_labels:
            sender.send_labels_before(of_events_sent)
        if position > first:
            sender.mark(int(times[position - 1]), partitions)
        publisher.flush()
        return ReplayReport(
            events=position - first,
            labels=sender.labels,
            marks=sender.marks,
            labels_not_due=max(of_events_sent - sender.next_label, 0),
            first_ms=int(times[first]) if position > first else None,
            last_ms=int(times[position - 1]) if position > first else None,
            resume_from_ms=self._resume_from(position, reached),
            stopped=not finished,
            seconds=perf_counter() - started,
        )

    def _label_partitions(self) -> int:
        """How many partitions get marks; raises where a topic is missing."""
        counts = partition_counts(connect(self._kafka), self._topics)
        roles: list[Role] = ["events", "labels"] if self._sends_labels else ["events"]
        for role in roles:
            if role not in counts:
                raise TopicError(
                    f"there is no topic {self._topics.name(role)!r}: make it with `weir topics`"
                )
        return counts["labels"] if self._sends_labels else 0

    def _resume_from(self, position: int, reached: int) -> int | None:
        if position == len(self._file):
            return None
        following = int(self._file.times[position])
        return min(reached + 1, following)


def _iso(time_ms: np.int64) -> str:
    return f"{np.datetime64(int(time_ms), 'ms')}Z"
