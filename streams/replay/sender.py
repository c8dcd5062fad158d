"""Sends what a replay has to send: events, the labels between them, and progress marks."""

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.events.json_encoder import EventEncoder
from streams.events.labels import Label, progress_header
from streams.files.event_file import EventFile
from streams.kafka.records.publisher import Publisher
from streams.kafka.topics.weir_topics import TopicSettings

if TYPE_CHECKING:
    from streams.tracing.tracer import Tracer

SPAN = "weir.produce"
_CHUNK = 500


class ReplaySender:
    """Sends events and labels through one producer, and remembers how far it got.

    Attributes:
        next_label: position of the next label among the labelled rows.
        labels, marks: how many were sent.

    Args:
        rows: positions of the labelled events in the file, ascending, shape (m,).
        due: when their labels are due, UTC milliseconds, ascending, shape (m,).
        tracer: begins a trace with some of the events; None for none.
    """

    def __init__(
        self,
        file: EventFile,
        topics: TopicSettings,
        rows: NDArray[np.intp],
        due: NDArray[np.int64],
        publisher: Publisher,
        tracer: "Tracer | None" = None,
    ) -> None:
        self._publisher = publisher
        self._tracer = tracer
        self.next_label = 0
        self.labels = 0
        self.marks = 0
        self._file = file
        self._events, self._labels = topics.events, topics.labels
        self._rows = rows
        self._due = due
        self._encoder = EventEncoder(file.contract)
        self._encode_label = msgspec.json.Encoder().encode

    def send(self, start: int, stop: int) -> None:
        """Send the events from position `start` up to `stop`, and the labels due before them."""
        batch = self._file.batch(start, stop)
        first = self.next_label
        last = int(np.searchsorted(self._due, batch.times[-1], side="right"))
        before = np.searchsorted(batch.times, self._due[first:last], side="left")
        # How many labels go before each event.
        waiting = np.bincount(before, minlength=len(batch)).tolist()
        labels = iter(self._encoded_labels(first, max(first, last)))
        values, keys = self._encoder.encode(batch), map(str, batch.keys)
        send, events_topic, labels_topic = self._publisher.send, self._events, self._labels
        tracer = self._tracer
        for value, key, count in zip(values, keys, waiting, strict=True):
            for _ in range(count):
                send(labels_topic, *next(labels))
            headers = None if tracer is None else tracer.begin_trace(SPAN, events_topic)
            send(events_topic, value, key, headers=headers)
        self._count_labels(last)

    def send_labels(self, up_to_ms: int) -> None:
        """Send the labels that are due at this time or before."""
        self.send_labels_before(int(np.searchsorted(self._due, up_to_ms, side="right")))

    def send_labels_before(self, last: int) -> None:
        """Send the labels up to position `last` among the labelled rows."""
        for start in range(self.next_label, last, _CHUNK):
            stop = min(start + _CHUNK, last)
            for value, key in self._encoded_labels(start, stop):
                self._publisher.send(self._labels, value, key)
            self._publisher.poll()
        self._count_labels(last)

    def mark(self, time_ms: int, partitions: int) -> None:
        """Say to each partition that all labels up to this time have been sent."""
        header = progress_header(time_ms)
        for partition in range(partitions):
            self._publisher.send(self._labels, None, None, partition, header)
        self.marks += partitions

    def _encoded_labels(self, start: int, stop: int) -> list[tuple[bytes, str]]:
        assert self._file.labels is not None or start == stop
        if start >= stop or self._file.labels is None:
            return []
        rows = self._rows[start:stop]
        low = int(rows[0])
        ids = self._file.batch(low, int(rows[-1]) + 1).take(rows - low).ids
        labels, due = self._file.labels[rows].tolist(), self._due[start:stop].tolist()
        encode = self._encode_label
        return [
            (encode(Label(event_id, label, time)), str(event_id))
            for event_id, label, time in zip(ids, labels, due, strict=True)
        ]

    def _count_labels(self, last: int) -> None:
        if last > self.next_label:
            self.labels += last - self.next_label
            self.next_label = last
