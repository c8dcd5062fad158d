"""The process that keeps the canary: one of several that may run is at work."""

import logging
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry, Gauge

from inference.canary.gate_record import GateRecord
from inference.canary.keeper import Judgement, Keeper
from inference.canary.settings import CanarySettings
from inference.control.canary import CanaryCommand
from streams.base.counted import counter_by
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import note_errors
from streams.kafka.records.publisher import PublishError
from weir.services.outages import outages_survived

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_AGAIN_S = 60.0
_DONE_BEFORE = ("void", "paused")


class CanaryMetrics:
    """What the keeper says of itself and of the canary."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.at_work = Gauge(
            "weir_canary_keeper_at_work",
            "1 where this keeper is the one that steps the canary",
            registry=registry,
        )
        self.share = Gauge(
            "weir_canary_keys_ratio",
            "The canary's share of the keys",
            unit="ratio",
            registry=registry,
        )
        self.evidence = Gauge(
            "weir_canary_log_evidence",
            "ln of the evidence against the canary, by guardrail",
            ["guardrail"],
            registry=registry,
        )
        self.alarm_from = Gauge(
            "weir_canary_log_alarm",
            "ln of the evidence from which it is rolled back, or its split is void",
            ["guardrail"],
            registry=registry,
        )
        self.paused = Gauge(
            "weir_canary_paused", "1 where the canary waits for a person", registry=registry
        )
        self.deeds = counter_by(
            "deed",
            ("begin", "step", "roll_back", "void", "ask", "promote", "end"),
            "weir_canary_deeds",
            "What the keeper has done",
            registry,
        )

    def show_none(self) -> None:
        """Show that there is no canary, or that another keeper knows."""
        self.share.set(0)
        self.paused.set(0)


class Election:
    """Whether this process is the one of its group that works.

    The members of a group share the partitions of a topic that has one: who has that one is at
    work. Another takes over when it leaves, or keeps silent.

    Args:
        topic: with one partition.
    """

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        self.elected = False
        self._consumer = Consumer(
            kafka.consumer_config(
                group_id=group, enable_auto_commit=False, session_timeout_ms=10_000
            )
        )
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._gone)

    def look(self, timeout_s: float) -> bool:
        """Keep membership alive; whether we are at work."""
        note_errors(self._consumer.consume(100, timeout_s))
        return self.elected

    def close(self) -> None:
        """Leave the group, so that another takes over at once."""
        self._consumer.close()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self.elected = any(place.partition == 0 for place in places)
        consumer.pause(places)  # nothing of it is read: membership is all that is wanted

    def _gone(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self.elected = False


class Automatic(Protocol):
    """What is done without a person; each says what it did, None for nothing."""

    def begin(self) -> str | None:
        """Begin a canary, where no experiment runs."""

    def promote(self) -> str | None:
        """Make the canary champion whose last step is over."""


class CanaryWorker:
    """Runs a keeper while this process is elected.

    Args:
        automatic: asked where a person would have to say what is next.
        new_keeper: makes one, given what it tells of each look.
        write: puts a record on the topic of comparisons: key and value.
    """

    def __init__(
        self,
        settings: CanarySettings,
        *,
        election: Election,
        automatic: Automatic,
        new_keeper: Callable[[Callable[[CanaryCommand, Judgement, dict[str, Any]], None]], Keeper],
        write: Callable[[str, bytes], None],
        metrics: CanaryMetrics,
    ) -> None:
        self._settings = settings
        self._election = election
        self._automatic = automatic
        self._keeper = new_keeper(self._tell)
        self._write = write
        self._metrics = metrics
        self._told: tuple[object, ...] = ()
        self._unwritten: dict[str, bytes] = {}
        self._tell_at = 0.0

    def run(self, stop: Event) -> str:
        """Keep the canary until `stop` is set; what is true then."""
        look_at, before = 0.0, None
        try:
            while not stop.is_set():
                elected = self._election.look(_POLL_S)
                if elected != before:
                    logger.info("this keeper %s", "is at work" if elected else "stands by")
                    before = elected
                self._metrics.at_work.set(elected)
                if not elected:
                    self._keeper.rest()
                    self._metrics.show_none()
                elif monotonic() >= look_at:
                    look_at = monotonic() + self._settings.every / 1e3
                    with outages_survived(self._keeper.rest):
                        self._look()
                else:
                    with outages_survived(self._keeper.rest):
                        self._keeper.read_on(0.0)
        finally:
            self._keeper.rest()
            self._election.close()
        return "the canary stays as it is"

    def waits_for(self) -> list[str]:
        """Nothing: one that stands by is ready."""
        return []

    def _look(self) -> None:
        judgement = self._keeper.look(_POLL_S)
        if judgement is None:
            self._metrics.show_none()
            self._write_down()
            if self._automatic.begin():
                self._metrics.deeds.labels("begin").inc()
        elif judgement.deed == "done" and not self._unwritten and self._automatic.promote():
            self._metrics.deeds.labels("promote").inc()

    def _tell(self, said: CanaryCommand, judgement: Judgement, evidence: dict[str, Any]) -> None:
        metrics = self._metrics
        metrics.share.set(said.canary.share)
        metrics.paused.set(said.state == "paused")
        for name, each in evidence["guardrails"].items():
            metrics.evidence.labels(name).set(each["log_evidence"] or 0.0)
            metrics.alarm_from.labels(name).set(each["alarm_from"])
        if judgement.deed not in ("wait", "done") and (judgement.deed, said.state) != _DONE_BEFORE:
            metrics.deeds.labels(judgement.deed.replace(" ", "_")).inc()
        told = (said.experiment, said.stepped, said.state, judgement.deed)
        if told != self._told or monotonic() >= self._tell_at:
            self._told, self._tell_at = told, monotonic() + _AGAIN_S
            record = GateRecord.of(said, judgement, evidence)
            self._unwritten[said.experiment] = record.model_dump_json().encode()
        self._write_down()

    def _write_down(self) -> None:
        """Write what is to be written; where that fails, later: the canary comes first."""
        try:
            for experiment, record in list(self._unwritten.items()):
                self._write(experiment, record)
                del self._unwritten[experiment]
        except (PublishError, KafkaException) as error:
            logger.warning("can't write down yet what was found of a canary: %s", error)
