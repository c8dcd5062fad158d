"""A scorer as a process, for tests to watch and to end."""

import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import urlopen

import tomli_w
from front_door import environment
from prometheus_client.parser import text_string_to_metric_families

from streams.files.event_file import open_events
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from weir.config.settings import load_settings

Samples = dict[str, float]


class Scorer:
    """A running `weir score`, or another command that runs until it is told to stop.

    Args:
        secrets: further variables of its environment.
    """

    def __init__(self, config: Path, *options: str, command: str = "score", **secrets: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "weir", command, "--config", str(config), *options],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(PYTHONPATH=str(Path(__file__).parents[2]), **secrets),
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline, asked = monotonic() + seconds, monotonic()
        while not condition():
            took = monotonic() - asked
            assert self.process.poll() is None, f"it ended:\n{self.log}"
            assert monotonic() < deadline, f"waited in vain:\n{self.log}"
            # Who asks all the time takes the processors from who is waited for.
            sleep(min(max(0.05, 4 * took), 1.0))
            asked = monotonic()

    def metrics(self) -> Samples:
        """Sums over all labels, by name and by name with its labels' values."""
        self.wait_for(lambda: "metrics on" in self.log, 180)  # a busy machine compiles for long
        address = re.search(r"http://\S+/metrics", self.log)
        assert address is not None
        with urlopen(address[0], timeout=10) as response:
            text = response.read().decode()
        sums: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for name in {sample.name, ":".join([sample.name, *sample.labels.values()])}:
                    sums[name] = sums.get(name, 0.0) + sample.value
        return sums

    def readiness(self) -> tuple[int, str]:
        """Status and text of /readyz, which is answered long before there are metrics to show."""
        self.wait_for(lambda: "answers on http" in self.log, 180)
        address = re.search(r"answers on (http://\S+):", self.log)
        assert address is not None
        try:
            with urlopen(f"{address[1]}/readyz", timeout=10) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(120)  # niced, beside other tests, it gets little of the machine
        self._reader.join(10)
        return code


def answered(scorer: Scorer) -> float:
    """How many events a scorer has answered."""
    return scorer.metrics().get("weir_events_total", 0.0)


def replay(config: Path, events: Path, limit: int | None = None, **span: int | None) -> None:
    """Send the file's events, or so many of them, labels included; `span` is of `Replayer`."""
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    topics, labels = settings.topics, settings.labels
    replayer = Replayer(file, settings.kafka, topics, labels, Pace(), limit=limit, **span)
    sent = replayer.run(threading.Event()).events
    assert sent == (limit or sent)


def begun_anew(config: Path, name: str) -> Path:
    """Settings for a fused scorer that answers the same events once more, to other topics."""
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    for role in ("scores", "feature_log", "dead_letters", "snapshots"):
        values["topics"][role] += f"-{name}"
    values["loop"] |= {"topology": "fused", "group": f"{name}-{os.urandom(4).hex()}"}
    path = config.with_name(f"{name}.toml")
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path
