"""The explainer: from the feature log to the topic of explanations, each record exactly once."""

import logging
from collections import Counter as Counted
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from time import perf_counter
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition
from prometheus_client import CollectorRegistry, Counter

from explain.errors import ExplainError
from explain.lime.settings import ExplainSettings
from explain.workers.metrics import explain_seconds
from explain.writing.flagged import FlaggedEvents, read_flagged
from explain.writing.key_ring import KeyRingError
from explain.writing.record_writer import RecordWriter
from inference.errors import InferenceError
from streams.base.clock import now_ms
from streams.dead_letters.writer import dead_letters_of
from streams.events.rejection import Reason, Rejected
from streams.kafka.client import KafkaSettings
from streams.kafka.consuming import consume_ready, note_errors
from streams.kafka.lag import lag_of
from streams.kafka.lag_metric import LagCollector
from streams.transactions.outcome import Aborted, Outgoing
from streams.transactions.transactor import Transactor

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_RECORDS = 16
"""Of the feature log in one transaction; each holds the events of one of the scorer's."""


class ExplainerMetrics:
    """All that the explainer says of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.explanations = Counter(
            "weir_explanations", "Explanations by decision", ["decision"], registry=registry
        )
        self.dead_letters = Counter(
            "weir_dead_letters", "Records rejected, by reason", ["reason"], registry=registry
        )
        self.transactions = Counter(
            "weir_transactions", "Transactions by outcome", ["outcome"], registry=registry
        )
        self.seconds = explain_seconds(registry)
        self.lag: Mapping[tuple[str, int], int] = {}
        registry.register(LagCollector("Records not explained yet", lambda: self.lag))


class StreamExplainer:
    """Reads the feature log in a consumer group of its own; any number share the work.

    Explanations and offsets are one transaction, so whatever is killed when, each flagged event has
    one explanation. What can't be explained goes to the dead letters with the reason.

    Args:
        writer_of: from the first digits of a package's id to what explains its answers; raises
            `StoppedError` where it has to wait for that and we are told to stop.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ExplainSettings,
        feature_log: str,
        explanations: str,
        dead_letters: str,
        worker: str,
        writer_of: Callable[[str], RecordWriter],
        metrics: ExplainerMetrics,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._feature_log = feature_log
        self._explanations = explanations
        self._dead_letters = dead_letters
        self._writer_of = writer_of
        self._metrics = metrics
        self._transactional_id = f"{settings.group}-{worker}"
        self._transactor: Any = None  # from `run` on
        self._joined = False

    @property
    def ready(self) -> bool:
        """Whether the group has said which partitions are ours, and be it none."""
        return self._joined

    def run(self, stop: Event) -> None:
        """Explain what comes until `stop` is set.

        Raises:
            StoppedError: what was begun did not come to its end; nothing of it is committed.
            FencedError: another process has our worker name.
            KeyRingError: the key ring can't be written; nothing of the batch is committed.
            AuthorizationError, KafkaException: the cluster refuses us.
        """
        config = self._kafka.consumer_config(
            group_id=self._settings.group,
            session_timeout_ms=self._settings.session_timeout,
            partition_assignment_strategy="cooperative-sticky",
        )
        self._transactor = Transactor(
            self._kafka, self._transactional_id, self._settings.transaction_timeout, stop
        )
        consumer: Any = Consumer(config)
        consumer.subscribe([self._feature_log], on_assign=self._note_joined)
        try:
            self._transactor.start()
            while not stop.is_set():
                batch = consume_ready(consumer, _RECORDS, _POLL_S)
                note_errors(batch)
                messages = [message for message in batch if message.error() is None]
                if messages:
                    self._explain(consumer, messages)
                self._metrics.lag = lag_of(consumer, consumer.position(consumer.assignment()))
        finally:
            self._transactor.close()
            consumer.close()

    def _note_joined(self, *_: object) -> None:
        self._joined = True

    def _explain(self, consumer: Any, messages: Sequence[Message]) -> None:
        records: list[tuple[str | None, bytes]] = []
        partitions: list[int] = []
        decided: list[str] = []
        bad: list[tuple[Message, Rejected]] = []
        for position, message in enumerate(messages):
            partition = message.partition() or 0
            try:
                events = read_flagged(message.value() or b"", partition, self._settings.decisions)
                written = self._written(events)
            except ValueError as error:
                bad.append((message, Rejected(position, Reason.BAD_BODY, None, str(error))))
                continue
            except KeyRingError:
                raise  # of the machine, such as a full disk: no record is to blame
            except (ExplainError, InferenceError) as error:
                logger.error(
                    "%s[%d] offset %s can't be explained: %s",
                    self._feature_log,
                    partition,
                    message.offset(),
                    error,
                )
                bad.append((message, Rejected(position, Reason.FAILED, None, str(error))))
                continue
            records += written
            partitions += [partition] * len(written)
            decided += [decision.outcome for decision in events.decisions]
        answers = [
            Outgoing(
                self._explanations,
                [data for _, data in records],
                [None if key is None else key.encode() for key, _ in records],
                partitions,
            )
        ]
        if bad:
            answers.append(dead_letters_of(self._dead_letters, bad, now_ms()))
        ends = {message.partition(): (message.offset() or 0) + 1 for message in messages}
        positions = [TopicPartition(self._feature_log, each, end) for each, end in ends.items()]
        self._transactor.submit(answers, positions, consumer.consumer_group_metadata())
        outcome = self._transactor.settle(wait=True)
        if isinstance(outcome, Aborted):
            logger.warning("transaction aborted, reading again: %s", outcome.reason)
            self._metrics.transactions.labels("aborted").inc()
            self._go_back(consumer, messages)
            return
        self._metrics.transactions.labels("committed").inc()
        for decision, count in Counted(decided).items():
            self._metrics.explanations.labels(decision).inc(count)
        for _, rejected in bad:
            self._metrics.dead_letters.labels(rejected.reason.value).inc()

    def _written(self, events: FlaggedEvents) -> list[tuple[str | None, bytes]]:
        if not len(events):
            return []
        writer = self._writer_of(events.model)
        start = perf_counter()
        written = writer.write(events)
        self._metrics.seconds.observe((perf_counter() - start) / len(events))
        return written

    def _go_back(self, consumer: Any, messages: Sequence[Message]) -> None:
        """To where the batch began, in the partitions that are still ours."""
        ours = {each.partition for each in consumer.assignment()}
        first: dict[int, int] = {}
        for message in messages:
            first.setdefault(message.partition() or 0, message.offset() or 0)
        for partition, offset in first.items():
            if partition in ours:
                consumer.seek(TopicPartition(self._feature_log, partition, offset))
