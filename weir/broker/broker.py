"""The local broker: start, stop, ask, or run in the foreground."""

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from weir.broker.config import bootstrap_servers
from weir.broker.errors import BrokerError, explain_os_errors
from weir.broker.failure import failure, log_size
from weir.broker.jars import kafka_version, read_lock
from weir.broker.lock import exclusive
from weir.broker.probe import answers
from weir.broker.process import find_process, terminate, uptime_s
from weir.broker.progress import Progress, silent
from weir.broker.settings import BrokerSettings
from weir.broker.starting import check_same_port, client_settings, start_process, wait_until_ready
from weir.broker.state import Layout

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 3.0
_STOPPED_ON_REQUEST = (0, -signal.SIGTERM, 128 + signal.SIGTERM)


@dataclass(frozen=True)
class BrokerStatus:
    """What is known of the broker of a data folder; ``None`` where it is not running."""

    running: bool
    ready: bool
    """It answers, as the cluster of this folder."""
    pid: int | None
    bootstrap_servers: str | None
    version: str
    """Of Apache Kafka: of the last start, else what the next one will be."""
    data_dir: Path
    java: str | None
    uptime: float | None
    """Seconds."""

    listeners: dict[str, str] = field(default_factory=dict)
    """Host and port of further listeners, by name."""


class LocalBroker:
    """One node of Apache Kafka for the folder `settings.data_dir`.

    As a context manager it runs for the block and no longer, even if this process is killed
    (on Linux)::

        with LocalBroker(BrokerSettings(data_dir=folder, port=0)) as broker:
            producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self._layout = Layout(settings.data_dir.resolve())
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start(die_with_parent=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """Host and port for clients.

        Raises:
            BrokerError: the port is to be chosen by the first start, which has not been yet.
        """
        state = self._layout.read_state()
        port = state.ports.client if state else self.settings.port
        if port == 0:
            raise BrokerError(f"{self._layout.root}: the broker has no port before its first start")
        return bootstrap_servers(self.settings, port)

    def start(
        self,
        progress: Progress = silent,
        timeout: float = _START_TIMEOUT_S,
        *,
        die_with_parent: bool = False,
    ) -> BrokerStatus:
        """Start the broker, or find it running, and return when a record went through it.

        It goes on when this process ends, unless `die_with_parent`. `timeout` is in seconds and
        does not count the first start's download.

        Raises:
            BrokerError: it cannot start; nothing is left running.
        """
        self._start(progress, timeout, die_with_parent=die_with_parent)
        return self.status()

    def stop(self, timeout: float = _STOP_TIMEOUT_S) -> bool:
        """Stop the broker, by force after `timeout` seconds; return whether it was running.

        Raises:
            BrokerError: it belongs to another user.
        """
        process = find_process(self._layout)
        if process is not None:
            terminate(process, timeout)
        if self._child is not None:
            self._child.wait()
            self._child = None
        if find_process(self._layout) is None:
            with explain_os_errors(self._layout.root, "broker.data_dir"):
                self._layout.pid.unlink(missing_ok=True)
        return process is not None

    def status(self) -> BrokerStatus:
        """Return what is known now; takes up to three seconds if the broker does not answer."""
        state = self._layout.read_state()
        version = state.version if state else kafka_version(read_lock())
        root = self._layout.root
        process = find_process(self._layout)
        if process is not None:
            try:
                java, uptime = process.cmdline()[0], uptime_s(process)
            except (psutil.NoSuchProcess, IndexError):  # who is dying has no command line any more
                process = None
        if process is None:
            return BrokerStatus(False, False, None, None, version, root, java=None, uptime=None)
        servers, ready, listeners = None, False, {}
        if state is not None:
            listeners = {
                name: bootstrap_servers(self.settings, port)
                for name, port in state.ports.more.items()
            }
            servers = bootstrap_servers(self.settings, state.ports.client)
            client = client_settings(self.settings, state.ports)
            ready = answers(client, self._layout.cluster_id, _ANSWER_TIMEOUT_S)
        return BrokerStatus(
            True, ready, process.pid, servers, version, root, java, uptime, listeners
        )

    def run(
        self,
        on_ready: Callable[[BrokerStatus], None] = lambda status: None,
        progress: Progress = silent,
    ) -> None:
        """Run in the foreground until SIGINT, SIGTERM or ``weir broker stop``; leave nothing.

        To be called from the main thread.

        Raises:
            BrokerError: it cannot start, runs already, or ended by itself.
        """
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
        log_start = log_size(self._layout)
        try:
            child = self._start(progress, _START_TIMEOUT_S, die_with_parent=True)
            if child is None:
                raise BrokerError(
                    f"the broker of {self._layout.root} runs already: "
                    "use it, or end it with `weir broker stop`"
                )
            on_ready(self.status())
            code = child.wait()
            if code not in _STOPPED_ON_REQUEST:
                raise failure(f"ended by itself (exit code {code})", self._layout, log_start)
        except KeyboardInterrupt:
            pass
        finally:
            for number in signals:
                signal.signal(number, signal.SIG_IGN)
            if self._child is not None:
                self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(
        self, progress: Progress, timeout: float, *, die_with_parent: bool
    ) -> subprocess.Popen[bytes] | None:
        """Start the broker and return its process; ``None`` if it was running already."""
        layout, settings = self._layout, self.settings
        with explain_os_errors(layout.root, "broker.data_dir"):
            layout.make()
            layout.lock.touch()
        with exclusive(layout.lock, timeout):
            running = find_process(layout)
            if running is None:
                self._child = start_process(
                    settings, layout, progress, timeout, die_with_parent=die_with_parent
                )
                return self._child
            state = layout.read_state()
            if state is None:
                raise BrokerError(f"{layout.state} is damaged: run `weir broker stop`, then start")
            check_same_port(settings, state.ports)
            progress("waiting for the running broker")
            wait_until_ready(
                settings,
                layout,
                state.ports,
                timeout,
                log_size(layout),
                lambda: find_process(layout) is not None,
            )
            return None
