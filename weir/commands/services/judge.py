"""`weir judge`: compares candidates with the champion, again and again, and writes it down."""

import logging
from threading import Event

from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry, Gauge

from inference.gates.record import ComparisonRecord, comparison_key
from inference.shadow.comparison.rows import NothingToCompareError
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import write_control
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import ensure_beside
from weir.cli.console import ConfigOption
from weir.config.settings import Settings
from weir.services.candidates.compared import compared_now, read_book
from weir.services.outages import outages_survived
from weir.services.processes import process_named
from weir.services.service import MetricsPortOption, Service, Start, Work, run_service
from weir.services.wiring import rights_of

logger = logging.getLogger(__name__)

_WRITE_S = 10.0


def judge(config: ConfigOption = None, metrics_port: MetricsPortOption = None) -> None:
    """Compare candidates now and then, and write it down.

    Every gates.every it compares each candidate of the shadow with the champion, as `weir shadow
    compare` does, and writes what it found to the topic of comparisons, until SIGTERM or Ctrl-C.
    The gates before `weir models promote` go by that. One is enough; a second one says the same.
    """
    service = Service(
        process=process_named("judge"),
        rights=rights_of(Process.JUDGE),
        make_topics=_make_topics,
        build=_build,
    )
    run_service(service, config, metrics_port)


class JudgeMetrics:
    """What was found at the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.verdict = Gauge(
            "weir_comparison_verdict",
            "1 for the verdict on a candidate's costs",
            ["candidate", "verdict"],
            registry=registry,
        )
        self.mature = Gauge(
            "weir_comparison_mature_events",
            "Events that are old enough to count",
            ["candidate"],
            registry=registry,
        )
        self.time = Gauge(
            "weir_comparison_timestamp_seconds",
            "When candidates were last compared, UTC",
            unit="seconds",
            registry=registry,
        )


class Judge:
    """Looks, and writes down what it found."""

    def __init__(self, settings: Settings, kafka: KafkaSettings, metrics: JudgeMetrics) -> None:
        self._settings = settings
        self._kafka = kafka
        self._metrics = metrics

    def run(self, stop: Event) -> str:
        """Look every `gates.every` until `stop` is set; what is true then."""
        while not stop.is_set():
            with outages_survived():
                self._look(stop)
            stop.wait(self._settings.gates.every / 1e3)
        return "what was found stands on the topic of comparisons"

    def _look(self, stop: Event) -> None:
        topics, metrics = self._settings.topics, self._metrics
        book = read_book(self._settings, self._kafka)
        metrics.verdict.clear()
        metrics.mature.clear()
        names = sorted(book.commands)
        for name, compared in compared_now(self._settings, self._kafka, book, names):
            if stop.is_set():
                return
            if isinstance(compared, NothingToCompareError):
                logger.info("%s", compared)
                continue
            command = book.commands[name]
            record = ComparisonRecord.of(name, command.model, compared)
            metrics.verdict.labels(name, record.verdict.value).set(1)
            metrics.mature.labels(name).set(compared.tally.mature)
            logger.info("candidate %s: %s", name, record.verdict.value)
            value = record.model_dump_json().encode()
            write_control(self._kafka, topics.comparisons, comparison_key(name), value, _WRITE_S)
        metrics.time.set_to_current_time()


def _make_topics(admin: AdminClient, settings: Settings) -> None:
    ensure_beside(admin, settings.topics, "feature_log", ("control", "comparisons"))


def _build(begun: Start) -> Work:
    worker = Judge(begun.settings, begun.kafka, JudgeMetrics(begun.metrics))
    return Work(does="comparing candidates", run=worker.run, waits_for=list)
