"""Where a story is played: one folder of settings, Weir's commands, and its processes."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from inference.canary.gate_record import GateRecord
from inference.gates.findings import read_records
from inference.gates.record import ComparisonRecord
from streams.base.child_process import our_module, tied_to_us
from streams.kafka.client import KafkaSettings
from weir.config.errors import DemoError

_PATIENCE_S = 900.0
_LOOK_S = 1.0
_ENDS_S = 60.0
_SHOWN = 2_000


class Stage:
    """Runs commands, and processes that go on until the story is over. A context manager.

    Args:
        folder: of logs.
        config: the settings of all that runs here.
        kafka: where it runs.
        comparisons: the topic on which judge and keeper write down what they find.
        stopped: set when the story is to end early.
    """

    def __init__(
        self, folder: Path, config: Path, kafka: KafkaSettings, comparisons: str, stopped: Event
    ) -> None:
        self._folder, self._config = folder, config
        self._kafka, self._comparisons, self._stopped = kafka, comparisons, stopped
        self._stack = ExitStack()
        self._processes: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def weir(self, *arguments: str, config: Path | None = None) -> Any:
        """Run a command; what it prints with ``--json``.

        Raises:
            DemoError: it failed.
        """
        done = subprocess.run(
            our_module("weir", *arguments, "--json", "--config", str(config or self._config)),
            capture_output=True,
            text=True,
            env=self._environment(),
        )
        if done.returncode:
            raise DemoError(f"weir {' '.join(arguments)}: {done.stderr[-_SHOWN:]}")
        return json.loads(done.stdout)

    def start(self, name: str) -> None:
        """Start a process that runs until the end, such as ``score``; its log is in the folder."""
        path = self._folder / f"{name}.log"
        log = self._stack.enter_context(path.open("wb"))
        command = our_module("weir", name, "--metrics-port", "0", "--config", str(self._config))
        process = subprocess.Popen(
            tied_to_us(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._environment(),
        )
        self._processes[name] = process, path
        self._stack.callback(_end, process)

    def kill(self, name: str) -> None:
        """Kill a process, as if its machine were gone; it may be started again."""
        process, _ = self._processes.pop(name)
        process.kill()
        process.wait()

    def pause(self, seconds: float) -> None:
        """Let some time go by.

        Raises:
            KeyboardInterrupt: the story is to end.
        """
        if self._stopped.wait(seconds):
            raise KeyboardInterrupt

    @contextmanager
    def playing(self, *arguments: str) -> Iterator[Callable[[], bool]]:
        """Run a command beside; the block is told whether it has ended."""
        process = subprocess.Popen(
            tied_to_us(our_module("weir", *arguments, "--json", "--config", str(self._config))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
        )
        try:
            yield lambda: process.poll() is not None
        finally:
            _end(process)

    def metric(self, name: str, metric: str) -> float:
        """The sum of a metric of a process over its labels; 0 while there is none."""
        _, log = self._processes[name]
        address = re.search(r"http://\S+/metrics", log.read_text(encoding="utf-8"))
        if address is None:
            return 0.0
        try:
            with urlopen(address[0], timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except (URLError, OSError):
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric))

    def found(self, name: str) -> ComparisonRecord | None:
        """What the judge last found of a candidate."""
        found = None
        for each in read_records(self._kafka, self._comparisons):
            if isinstance(each, ComparisonRecord) and each.name == name:
                found = each
        return found

    def kept(self, experiment: str) -> list[GateRecord]:
        """What the keeper found of an experiment."""
        return [
            each
            for each in read_records(self._kafka, self._comparisons)
            if isinstance(each, GateRecord) and each.experiment == experiment
        ]

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        """Wait for something; what it is then.

        Raises:
            DemoError: it does not come, or a process has ended.
            KeyboardInterrupt: the story is to end.
        """
        deadline = monotonic() + _PATIENCE_S
        while not (found := condition()):
            for name, (process, _) in self._processes.items():
                if process.poll() is not None:
                    raise DemoError(f"`weir {name}` has ended: see {name}.log in {self._folder}")
            if monotonic() > deadline:
                raise DemoError(f"waited in vain for {what}: see the logs in {self._folder}")
            self.pause(_LOOK_S)
        return found

    def _environment(self) -> dict[str, str]:
        """Ours, without what would change the settings of the folder."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
        return ours | {"WEIR_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers}


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
