"""Reading the topic of labels beside the partitions that they are for.

Who sends labels chooses their partition; and a worker has some of the partitions that events are
in. So each worker reads all labels, and each partition of ours keeps in its state how far it has
heard them: what is read and what it led to are of one transaction, as with a group's offsets.
"""

import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import KafkaException, Message, TopicPartition

from inference.shadow.event_hash import id_hashes
from inference.shadow.joining.heard import Hearer
from inference.shadow.joining.known_labels import LABEL
from streams.base.closing import ClosedAtEnd
from streams.events.labels import Label, read_progress
from streams.kafka.batches.bad_batch import BadBatch
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.client import KafkaSettings
from streams.kafka.message import headers_of
from streams.kafka.records.consuming import bounds_of, is_end, note_errors, read_ready
from streams.kafka.topics.topic_partitions import TopicError

logger = logging.getLogger(__name__)

_BATCH = 10_000
_POLL_S = 0.5
_LONGEST_S = 10.0
_NO_TIME = 10**15
"""What is this or more, in ms, is no time: `read_progress` takes no other either."""


class LabelFeed(ClosedAtEnd):
    """Labels for partitions of ours, each from where it has heard them; for one thread.

    Attributes:
        read: offsets that were read by now, of so many.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.read = 0, 0
        self._topic = topic
        self._who = kafka.who
        self._decode = msgspec.json.Decoder(Label).decode
        self._next: dict[int, int] = {}
        self._consumer: Any = PassingConsumer(
            kafka.consumer_config(group_id="weir-labels", auto_offset_reset="earliest")
        )

    def hear(self, joins: Mapping[int, Hearer]) -> bool:
        """Tell partitions of ours all labels up to the present end.

        Whether that was reached. It is not where there are very many, or where the cluster does not
        answer: the next call goes on.

        Raises:
            TopicError: there is no such topic.
            AuthorizationError: we may not read it.
            KafkaException: trying on is of no use.
        """
        try:
            bounds = bounds_of(self._consumer, self._topic, self._who)
        except ValueError as error:
            raise TopicError(str(error)) from error
        except KafkaException as error:
            logger.warning("can't ask for labels yet, trying again: %s", error.args[0].str())
            return False
        for join in joins.values():
            join.labels_stand({partition: high for partition, (_, high) in bounds.items()})
        self._go_to(
            {
                partition: min(
                    max(join.progress.labels.get(partition, low), low) for join in joins.values()
                )
                for partition, (low, _) in bounds.items()
            }
        )
        give_up_at = monotonic() + _LONGEST_S
        behind = {each for each, (_, high) in bounds.items() if self._next[each] < high}
        while behind and monotonic() < give_up_at:
            messages = read_ready(self._consumer, _BATCH, _POLL_S)
            note_errors([each for each in messages if not isinstance(each, BadBatch)])
            self._tell(messages, joins)
            behind = {each for each in behind if self._next[each] < bounds[each][1]}
            ends = sum(high - low for low, high in bounds.values())
            left = sum(max(bounds[each][1] - self._next[each], 0) for each in bounds)
            self.read = ends - left, ends
        return not behind

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _go_to(self, positions: dict[int, int]) -> None:
        """Read on from here; where a partition of ours came or was taken back, once more."""
        if self._next != positions:
            self._consumer.assign(
                [TopicPartition(self._topic, *place) for place in positions.items()]
            )
            self._next = positions

    def _tell(self, messages: Sequence[Message], joins: Mapping[int, Hearer]) -> None:
        ids: list[int | str] = []
        columns: list[tuple[int, int, int, int]] = []
        complete: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            if is_end(message):
                self._next[partition] = max(self._next[partition], offset)
                continue
            if message.error() is not None and not isinstance(message, BadBatch):
                continue
            self._next[partition] = offset + 1
            label = None if isinstance(message, BadBatch) else self._label(message, complete)
            if label is not None:
                ids.append(label.event_id)
                columns.append((partition, offset, label.time, label.label))
        rows = np.zeros(len(ids), LABEL)
        partitions, offsets, rows["time"], rows["label"] = (
            np.array(columns, np.int64).reshape(-1, 4).T
        )
        rows["hash"] = id_hashes(ids)
        for join in joins.values():
            heard = join.progress.labels
            # Another partition of ours may have been further behind.
            first = np.zeros(max(self._next, default=-1) + 1, np.int64)
            first[list(heard)] = list(heard.values())
            further = {
                each: position
                for each, position in self._next.items()
                if position > heard.get(each, -1)
            }
            if further:
                join.hear(rows[offsets >= first[partitions]], further, complete)

    def _label(self, message: Message, complete: dict[int, int]) -> Label | None:
        """A record's label; None for what is none, as with a scorer."""
        if message.value() is None:
            said = read_progress(headers_of(message))
            if said is not None:
                partition = message.partition() or 0
                complete[partition] = max(said, complete.get(partition, said))
            return None
        try:
            label = self._decode(message.value() or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return label if label.label in (0, 1) and abs(label.time) < _NO_TIME else None
