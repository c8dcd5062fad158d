"""A small Weir with all its processes: two models, a candidate, a canary, and a stream."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import date
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pyarrow.parquet as pq
from confluent_kafka import Producer

from streams.base.child_process import our_module, tied_to_us
from tests.weir.front_door import registry_of, write_settings
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import Settings, load_settings
from weir.services.processes import PROCESSES
from weir.simulator import SimulatorSettings, simulate

RATE = 120
"""Events per second."""
_EVENTS, _DAYS, _START = 250_000, 225, date(2025, 1, 1)
"""A day of events takes nine seconds, and all of them longer than all provocations."""
_PATIENCE_S = 300.0
_SECTIONS: dict[str, Any] = {
    "topics": {"partitions": 2},
    "alignment": {"max_idle": "2s"},
    "windows": {"max_entities": 60},  # so few that some are ousted
    "snapshots": {"every": "5s"},
    "feature_log": {"include": ["amount"]},
    "policy": {
        "review_alert_rate": 0.2,
        "decline_alert_rate": 0.1,
        "costs": {"cap": 500, "friction": 20, "review": 5},
    },
    "approve_through": {
        "bands": [{"share": 0.4}],
        "daily_budget": 4_000,
        "salt": "some salt or other",
    },
    "canary": {"steps": [0.3, 1.0], "hold": "300d", "max_alert_ratio": 50, "every": "1s"},
    "gates": {"every": "5s"},
    "monitor": {"interval": "1h"},  # a minute is less than an event
    "explain": {"samples": 256},
    "performance": {"baseline_frauds": 30, "baseline_days": 5},
    "archive": {"interval": "2s"},
    # Drift leads to no job here, but a person's word does; and who fails once has failed.
    "retraining": {"look": "1s", "min_frauds": 1_000_000, "attempts": 1},
    "store": {"anchor_every": 50, "anchor_after": "5s"},
    "metrics": {"port": 0},
    "alerts": {"url": "http://127.0.0.1:9/nobody", "tries": 2},
}


class World:
    """All of it, for a block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._jobs: dict[str, str] = {}
        self.config = folder / "weir.toml"

    def __enter__(self) -> "World":
        registry_of(self.folder, (1, 2))
        stream = simulate(SimulatorSettings.for_events(_EVENTS, days=_DAYS, start=_START))
        pq.write_table(stream, self.folder / "stream.parquet")
        settings = BrokerSettings(data_dir=self.folder / "broker", port=0)
        self.broker = self._stack.enter_context(LocalBroker(settings))
        kafka = {"bootstrap_servers": self.broker.bootstrap_servers}
        write_settings(self.config, kafka=kafka, **_SECTIONS)
        self.weir("topics")
        for each in PROCESSES:
            self.start(each.name, each.name)
        return self

    def __exit__(self, *_: object) -> None:
        for label in list(self._running):
            self.end(label, signal.SIGKILL)
        self._stack.close()

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    def other_settings(self, name: str, **sections: Mapping[str, Any]) -> Path:
        """Settings of the same world, but for some keys; their file."""
        values = json.loads(self.settings.model_dump_json(include={"kafka"}))["kafka"]
        kafka = {"bootstrap_servers": values["bootstrap_servers"]}
        path = self.folder / f"{name}.toml"
        return write_settings(path, kafka=kafka, **(_SECTIONS | sections))

    def weir(self, *arguments: str, config: Path | None = None) -> str:
        """Run a command to its end; what it prints."""
        done = subprocess.run(
            our_module("weir", *arguments, "--config", str(config or self.config)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"weir {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def start(
        self, label: str, *command: str, config: Path | None = None, serves: bool = True
    ) -> None:
        """Start what runs until it is ended; its log is in the folder."""
        with (self.folder / f"{label}.log").open("wb") as log:
            self._running[label] = subprocess.Popen(
                tied_to_us(our_module("weir", *command, "--config", str(config or self.config))),
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        if serves:
            self._jobs[label] = f"weir-{command[0]}"

    def end(self, label: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self._running.pop(label)
        process.send_signal(
            signal.SIGCONT
        )  # one that was stopped ends at nothing less than SIGKILL
        process.send_signal(how)
        process.wait(60)

    def forget(self, label: str) -> None:
        """Ask it for metrics no more."""
        self._jobs.pop(label)

    def addresses(self) -> dict[str, list[str]]:
        """Where to ask for metrics, by job; waits until each process says so."""
        found: dict[str, list[str]] = {}
        for label, job in self._jobs.items():
            log = self.folder / f"{label}.log"
            until = monotonic() + _PATIENCE_S
            while not (said := re.search(r"answers on http://([\w.:]+):", log.read_text())):
                assert monotonic() < until, f"{label} does not start: see {log}"
                sleep(0.2)
            found.setdefault(job, []).append(said[1])
        return found

    def replay(self) -> None:
        """Begin to send events, at `RATE`, until `end("replay")`."""
        stream = str(self.folder / "stream.parquet")
        self.start("replay", "replay", stream, "--rate", str(RATE), serves=False)

    def write(self, topic: str, value: bytes, count: int, key: bytes | None = None) -> None:
        """Write some records as a stranger would."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers})
        for _ in range(count):
            producer.produce(topic, value, key)
        assert producer.flush(30) == 0

    def tell(self, label: str, how: signal.Signals) -> None:
        self._running[label].send_signal(how)

    def tell_children(self, label: str, how: signal.Signals) -> None:
        """To all processes that a process of ours has started."""
        for child in psutil.Process(self._running[label].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(how)
