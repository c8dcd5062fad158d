"""A real broker behind a proxy, on a disk of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import psutil

from tests.chaos.configuration import SESSION_S
from tests.chaos.disk import Disk
from tests.chaos.log_damage import cut_logs
from tests.chaos.proxy import HOST
from weir.broker import BrokerError, BrokerSettings, LocalBroker
from weir.broker.ports import free_port

_ATTEMPTS = 3
_START_S = 120.0
_LOST = 0.5


class Cluster:
    """Apache Kafka whose advertised address is the proxy's: no client gets around it."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk(folder / "disk")
        self._kept = folder / "disk.kept"
        port = free_port(HOST)
        target = free_port(HOST, {port})
        self.bootstrap_servers = f"{HOST}:{port}"
        self._proxy = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy", str(port), str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._proxy.stdout is not None
        if self._proxy.stdout.readline().strip() != "ready":
            raise RuntimeError("the proxy did not start")
        self._broker = LocalBroker(
            BrokerSettings(
                data_dir=self.disk.folder / "broker",
                port=target,
                properties={
                    "advertised.listeners": f"CLIENT://{HOST}:{port}",
                    "log.segment.bytes": str(32 << 20),
                    # Partitions without another replica have no leader for a moment where Kafka
                    # hands them over, or notices that it was killed; then it forgets to end the
                    # transactions of that moment. So nothing is handed over, and the second comes
                    # when what was left open has been loaded and ended.
                    "controlled.shutdown.enable": "false",
                    "broker.session.timeout.ms": "9000",
                    # Groups of KIP-848 have their sessions from the broker.
                    "group.consumer.min.session.timeout.ms": "1000",
                    "group.consumer.session.timeout.ms": f"{SESSION_S * 1_000:.0f}",
                    "group.consumer.min.heartbeat.interval.ms": "500",
                    "group.consumer.heartbeat.interval.ms": "1000",
                },
            )
        )
        self.start()

    def proxy(self, order: str) -> None:
        """Give the proxy an order; see `tests.chaos.proxy`."""
        assert self._proxy.stdin is not None
        self._proxy.stdin.write(order + "\n")
        self._proxy.stdin.flush()

    def start(self) -> None:
        """Start the broker, or find it running."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._broker.start(timeout=_START_S, die_with_parent=True)
                return
            except BrokerError:
                if attempt == _ATTEMPTS:
                    raise

    def lose_the_end(self, topic: str) -> None:
        """Kill the broker, cut the end off the logs of a topic, and start it again."""
        self.signal(signal.SIGKILL)
        while self.pid is not None:
            sleep(0.1)
        cut_logs(self.disk.folder, _LOST, topic)
        self.start()

    def stop(self) -> None:
        """Stop the broker in good order."""
        self._broker.stop()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the broker, if it runs."""
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def pid(self) -> int | None:
        """The running broker's process id."""
        try:
            pid = int((self.disk.folder / "broker" / "broker.pid").read_text())
            return None if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else pid
        except (OSError, ValueError, psutil.Error):
            return None

    def close(self, *, keep: bool) -> None:
        """Stop all; with `keep`, the broker's data stays."""
        self._broker.stop()
        assert self._proxy.stdin is not None
        self._proxy.stdin.close()
        self._proxy.wait(10)
        self.disk.close(self._kept if keep else None)
