"""The scaffold of every process that runs for good: settings, rights, stop, metrics and health.

A process is one `Service`: which rights it needs, which topics it makes, and how its work is put
together. `run_service` does the rest. The HTTP port answers before Kafka is asked for anything.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from streams.base.apart.priority import stand_back
from streams.base.bounded_calls import StoppedError, in_thread
from streams.kafka.client import KafkaSettings
from streams.kafka.rights.acl import Acl
from streams.kafka.rights.permission_check import named_denials
from weir.config.metrics_settings import MetricsSettings
from weir.config.settings import Settings, load_settings
from weir.services.http.door import door_of
from weir.services.http.health import Health, WatchedStop
from weir.services.http.pages import pages_of
from weir.services.http.port import Bounds, answering
from weir.services.http.routes import Paths
from weir.services.process_metrics import ProcessMetrics
from weir.services.processes import ServiceProcess
from weir.services.stopping import leave_now, stop_on_signals
from weir.services.wiring import admitted

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
_START_ENDS_S = 2.0
"""A start that is told to stop has nothing to finish: a moment for what takes a moment."""

MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65_535,
        help="Port for /metrics, /livez and /readyz; 0 chooses a free one.",
        show_default="metrics.port, or else the process's own",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the scaffold has ready for a service's `build`.

    Attributes:
        metrics: what `/metrics` shows; register yours with it.
        stop: set when the process is told to stop, also while it is built.
        note: told what the start is at, such as ``fetching the model``; `/readyz` says so.
        resources: what is entered into it is closed after the work.
        paths: what the process's port answers; add yours.
    """

    settings: Settings
    kafka: KafkaSettings
    metrics: CollectorRegistry
    stop: Event
    note: Callable[[str], None]
    resources: ExitStack
    paths: Paths


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a process does once it is built.

    Attributes:
        does: for the log, such as ``storing weir.explanations``.
        run: works until its argument is set, which it has to look at all the time; returns what
            is true at its end, such as ``the last transaction is committed``. Raises `StoppedError`
            where it had to leave something open.
        waits_for: why it is not ready now, in words; nothing when it is. Called in any thread.
    """

    does: str
    run: Callable[[Event], str]
    waits_for: Callable[[], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process that runs for good.

    Attributes:
        rights: what it has to be allowed; checked before anything is begun.
        make_topics: makes those that are missing, of what it reads and writes.
        build: puts its work together; raises `StoppedError` where it is stopped while it waits.
        niceness: how far the process stands back for others that want the processors, 0 ... 19.
    """

    process: ServiceProcess
    rights: Callable[[Settings], Sequence[Acl]]
    make_topics: Callable[[AdminClient, Settings], object]
    build: Callable[[Start], Work]
    niceness: Callable[[Settings], int] = lambda _: 0


def run_service(
    service: Service, config: Path | None, metrics_port: int | None, **options: Mapping[str, Any]
) -> None:
    """Run a process until SIGTERM or Ctrl-C; the second of them ends it at once.

    Args:
        config: see `weir.config.settings.find_settings_file`.
        metrics_port: the option; wins over `metrics.port`, which wins over the process's own.
        options: further sections, with keys that were given as options; see `load_settings`.

    Raises:
        SettingsError: they are wrong.
        OSError: the port is taken.
        KafkaUnavailableError, AuthorizationError, TopicError: Kafka is not as it has to be.
        Exception: what `build` and `run` of the service's work raise.
    """
    stop = WatchedStop()
    stop_on_signals(stop, leave_on_second=True)
    if metrics_port is not None:
        options["metrics"] = {"port": metrics_port}
    settings = load_settings(config, **options)
    stand_back(service.niceness(settings))  # before threads: each has a niceness of its own
    rights = service.rights(settings)
    health, metrics = Health(stop), CollectorRegistry()
    paths = Paths(pages_of(service.process.name, health, metrics), {})
    with (
        _http_port(service.process, settings.metrics, health, metrics, paths) as address,
        ExitStack() as resources,
    ):
        building = in_thread(
            _build, service, settings, rights, health, metrics, paths, stop, resources
        )
        ended = _ends(building, stop)
        if stop.is_set() and not (ended and building.exception() is None):
            logger.info("stopped while %s: nothing was read yet", health.phase)
            if not ended:
                leave_now(0)  # nobody can take back the call that it waits for
            return
        kafka, work = building.result()
        logger.info("%s; metrics on %s/metrics", work.does, address)
        health.working(work.waits_for)
        with named_denials(kafka, rights):
            _run(work, stop)


def _build(
    service: Service,
    settings: Settings,
    rights: Sequence[Acl],
    health: Health,
    metrics: CollectorRegistry,
    paths: Paths,
    stop: Event,
    resources: ExitStack,
) -> tuple[KafkaSettings, Work]:
    """Reach Kafka and put the work together: in a thread beside, since it may take for ever."""
    health.starting("reaching Kafka")
    kafka, admin = admitted(settings, lambda _: rights)
    health.starting("making the topics that are missing")
    with named_denials(kafka, rights):
        service.make_topics(admin, settings)
        health.starting("putting its parts together")
        start = Start(
            settings=settings,
            kafka=kafka,
            metrics=metrics,
            stop=stop,
            note=health.starting,
            resources=resources,
            paths=paths,
        )
        return kafka, service.build(start)


def _ends(building: "Future[Any]", stop: Event) -> bool:
    """Wait until the start has ended, well or badly; once told to stop, for a moment only."""
    while not (building.done() or stop.is_set()):
        wait_for([building], _LOOK_S)
    wait_for([building], _START_ENDS_S)
    return building.done()


def _run(work: Work, stop: Event) -> None:
    """Work until told to stop, and say what is true then."""
    try:
        outcome = work.run(stop)
    except StoppedError as stopped:
        logger.warning("%s; the next start cleans up what is left open", stopped)
    else:
        logger.info("stopped: %s", outcome)
    finally:
        stop.set()


@contextmanager
def _http_port(
    process: ServiceProcess,
    settings: MetricsSettings,
    health: Health,
    metrics: CollectorRegistry,
    paths: Paths,
) -> Iterator[str]:
    """Answer on the process's port during the block, which gets the address."""
    host, port = settings.host, process.port if settings.port is None else settings.port
    refused = ProcessMetrics(metrics, lambda: not health.not_ready()).refused
    door, bounds = door_of(settings), Bounds(settings.connections)

    def count(why: str) -> None:
        refused.labels(why).inc()

    with ExitStack() as stack:
        try:
            address = stack.enter_context(
                answering(host, port, paths.pages, door, bounds, count, paths.acts)
            )
        except OSError as error:
            raise OSError(
                f"weir {process.name} can't answer on port {port} of {host}: {error.strerror}. "
                "Stop the program that uses it, or choose another with --metrics-port or "
                "metrics.port (0: a free one)"
            ) from error
        logger.info("weir %s answers on %s: /metrics, /livez, /readyz", process.name, address)
        yield address
