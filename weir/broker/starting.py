"""From nothing to a broker that a record went through."""

import subprocess
import time
from collections.abc import Callable
from functools import partial

from weir.broker import probe
from weir.broker.config import (
    advertised_host,
    bootstrap_servers,
    log4j2_properties,
    server_properties,
)
from weir.broker.errors import BrokerError, PortInUseError, explain_os_errors
from weir.broker.failure import failure, log_size
from weir.broker.jars import kafka_version, provide, read_lock
from weir.broker.java import find_java
from weir.broker.ports import choose_ports
from weir.broker.process import broker_command, launch
from weir.broker.progress import Progress
from weir.broker.settings import BrokerSettings
from weir.broker.state import Layout, Ports, State, write_whole
from weir.broker.storage import format_storage
from weir.broker.users import set_passwords

_ATTEMPTS = 3
_PROBE_TIMEOUT_S = 10.0


def start_process(
    settings: BrokerSettings,
    layout: Layout,
    progress: Progress,
    timeout: float,
    *,
    die_with_parent: bool,
) -> subprocess.Popen[bytes]:
    """Start a new broker process and return it when it is ready.

    Raises:
        BrokerError: it cannot start; no process is left.
    """
    jars = read_lock()
    paths = provide(jars, settings.cache_dir, settings.maven_repository, progress)
    java = find_java(settings.java)
    for attempt in range(1, _ATTEMPTS + 1):
        with explain_os_errors(layout.root, "broker.data_dir"):
            state = layout.read_state()
            ports = choose_ports(settings, state.ports if state else None)
            write_whole(layout.log4j2, log4j2_properties(layout.log))
            is_new = not layout.is_formatted
            if is_new:
                progress("formatting the storage")
                format_storage(settings, ports, layout, java.path, paths)
            write_whole(layout.properties, server_properties(settings, ports, layout.topics))
            layout.write_state(State(ports, kafka_version(jars)))
            progress("starting Apache Kafka")
            log_start = log_size(layout)
            command = broker_command(java.path, settings.heap, paths, layout)
            process = launch(command, layout, die_with_parent=die_with_parent)
        try:
            wait_until_ready(
                settings, layout, ports, timeout, log_start, partial(_is_alive, process)
            )
            if not is_new:
                set_passwords(client_settings(settings, ports), settings.scram_users())
        except BaseException as error:
            process.kill()
            process.wait()
            layout.pid.unlink(missing_ok=True)
            # A port that we chose ourselves may have been taken before Kafka got it.
            chosen = settings.port == 0 or settings.controller_port == 0
            if isinstance(error, PortInUseError) and chosen and attempt < _ATTEMPTS:
                continue
            raise
        return process
    raise AssertionError("the last attempt returns or raises")


def wait_until_ready(
    settings: BrokerSettings,
    layout: Layout,
    ports: Ports,
    timeout: float,
    log_start: int,
    is_alive: Callable[[], bool],
) -> None:
    """Return when a record went in and came out.

    Raises:
        BrokerError: the process ended, or `timeout` seconds went by; with the log's end since
            `log_start`.
    """
    client = client_settings(settings, ports)
    host = advertised_host(settings)
    deadline = time.monotonic() + timeout
    reached = "nothing listens on its port"
    while is_alive():
        left = deadline - time.monotonic()
        if left <= 0:
            raise failure(f"is not ready after {timeout:.0f} s ({reached})", layout, log_start)
        if not probe.wait_for_port(host, ports.client, min(left, 0.5)):
            continue
        try:
            attempt_until = time.monotonic() + min(left, _PROBE_TIMEOUT_S)
            probe.round_trip(client, layout.cluster_id, attempt_until)
        except probe.NotReadyError as error:
            reached = str(error)
        else:
            return
    raise failure("ended while it started", layout, log_start)


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def client_settings(settings: BrokerSettings, ports: Ports) -> dict[str, str]:
    """Return librdkafka's settings to connect with."""
    return {
        "bootstrap.servers": bootstrap_servers(settings, ports.client),
        **settings.client_config(),
    }


def check_same_port(settings: BrokerSettings, ports: Ports) -> None:
    """Refuse to take a running broker for one on another port.

    Raises:
        BrokerError: the settings name a port, and it runs on a different one.
    """
    if settings.port not in (0, ports.client):
        raise BrokerError(
            f"the broker of {settings.data_dir} runs on port {ports.client}, not {settings.port}: "
            "stop it first (`weir broker stop`), or leave `broker.port` as it was"
        )
