"""``python -m tests.restarts --topology fused --restarts 10``: what a broker's restarts cost.

A broker of its own is stopped and started again and again under a running scorer (or two, where
they share the work), in turns without traffic and with it. Each time it is seen when answers come
again, that no process has ended, and that ``weir_ready`` told the truth: 0 while the broker was
away, and never 1 with events left unanswered for long. At the end each event has one answer, and
the group has no lag, by what the broker itself says.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import pyarrow.parquet as pq

from streams.base.child_process import tied_to_us
from streams.files.event_file import open_events
from tests.restarts.group_lag import group_lag
from tests.restarts.traffic import Answers, Sender
from tests.weir.front_door import write_settings
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import Settings, load_settings
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import train_and_register

_EVENTS = 60_000
_TRICKLE = 8
_NOTICED_S = 4.0
_BACK_WITHIN_S = 15.0
_UNANSWERED_S = 10.0
_START_S = 300.0
_PATIENCE_S = 90.0


class Scorer:
    """One `weir score`, and what it says of its readiness, asked all the time.

    Attributes:
        samples: when it was asked, and whether it was ready.
    """

    def __init__(self, config: Path, name: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.log = config.with_name(f"{name}.log")
        command = [sys.executable, "-m", "weir", "score", "-c", config, "--metrics-port", port]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                tied_to_us([*map(str, command)]), stdout=output, stderr=output
            )
        self.samples: list[tuple[float, bool]] = []
        self._url = f"http://127.0.0.1:{port}/metrics"
        threading.Thread(target=self._ask, daemon=True).start()

    @property
    def ready(self) -> bool:
        """What it said last."""
        return bool(self.samples) and self.samples[-1][1]

    def ready_at(self, first: float, last: float) -> bool:
        """Whether it ever said that it was, between these moments."""
        return any(ready for at, ready in self.samples if first <= at <= last)

    def _ask(self) -> None:
        while self.process.poll() is None:
            at = monotonic()
            with contextlib.suppress(OSError):
                text = urlopen(self._url, timeout=5).read().decode()
                self.samples.append((at, "\nweir_ready 1.0" in text))
            sleep(0.2)


class Trial:
    """Restarts under some scorers."""

    def __init__(self, broker: LocalBroker, settings: Settings, scorers: list[Scorer]) -> None:
        self.found: list[str] = []
        self._broker, self._settings, self._scorers = broker, settings, scorers

    def run(self, sender: Sender, restarts: int, per_second: float, away_s: float) -> None:
        """Restart the broker so many times."""
        answers = Answers(self._settings)
        sender.send(_TRICKLE)
        self._wait("the start", lambda: len(answers.seen) == sender.sent, _START_S)
        self._wait("the start", self._all_ready)
        for number in range(restarts):
            loaded = bool(number % 2)
            with _streaming(sender, per_second if loaded else 0.0):
                sleep(3.0)
                down, back = self._restart(away_s)
                sender.send(_TRICKLE)
                name = f"restart {number + 1}, {'under load' if loaded else 'idle'}"
                self._wait(name, lambda back=back: answers.last_at > back)
                answered_s = answers.last_at - back
                self._wait(name, self._all_ready)
                ready_s = monotonic() - back
            self._wait(name, lambda: len(answers.seen) == sender.sent)
            self._judge(name, down, back, answered_s)
            print(
                f"{name}: away {back - down:.1f} s, answers {answered_s:.1f} s after, "
                f"ready {ready_s:.1f} s after",
                flush=True,
            )
        answers.close()
        if answers.twice:
            self.found.append(f"{answers.twice} answers were second ones")
        self._wait("at rest", lambda: not any(group_lag(self._settings).values()))

    def _restart(self, away_s: float) -> tuple[float, float]:
        self._broker.stop()
        down = monotonic()
        sleep(away_s)
        self._broker.start(die_with_parent=True)
        return down, monotonic()

    def _judge(self, name: str, down: float, back: float, answered_s: float) -> None:
        if answered_s > _BACK_WITHIN_S:
            self.found.append(f"{name}: answers {answered_s:.1f} s after the broker's return")
        for scorer in self._scorers:
            if scorer.ready_at(down + _NOTICED_S, back - 5.0):  # it answers before it is ready
                self.found.append(f"{name}: {scorer.log.stem} was ready without a broker")

    def _all_ready(self) -> bool:
        return all(scorer.ready for scorer in self._scorers)

    def _wait(
        self, name: str, condition: Callable[[], bool], patience_s: float = _PATIENCE_S
    ) -> None:
        deadline = monotonic() + patience_s
        while not condition():
            for scorer in self._scorers:
                if scorer.process.poll() is not None:
                    raise SystemExit(
                        f"{name}: {scorer.log.stem} has ended:\n{scorer.log.read_text()[-3000:]}"
                    )
            if monotonic() > deadline:
                logs = "\n".join(each.log.read_text()[-3000:] for each in self._scorers)
                raise SystemExit(f"{name}: waited in vain\n{logs}")
            sleep(0.05)


@contextlib.contextmanager
def _streaming(sender: Sender, per_second: float) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=sender.stream, args=(per_second, stop))
    if per_second:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if per_second:
            thread.join()


def main() -> int:
    """Run one trial; the exit code is 1 where something was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.restarts", description=__doc__)
    parser.add_argument("--topology", choices=("fused", "staged"), default="fused")
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--per-second", type=float, default=100.0, help="events under load")
    parser.add_argument("--away", type=float, default=2.0, help="seconds between stop and start")
    parser.add_argument("--logs", action="store_true", help="show what the scorers logged")
    order = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-restarts-") as name:
        folder = Path(name)
        with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
            config = write_settings(
                folder / "weir.toml",
                kafka={"bootstrap_servers": broker.bootstrap_servers},
                topics={"partitions": 4},
                loop={"topology": order.topology},
                alignment={"max_idle": "200ms", "max_hold": "500ms"},
            )
            settings = load_settings(config)
            events = folder / "events.parquet"
            pq.write_table(simulate(SimulatorSettings.for_events(_EVENTS, days=60, seed=1)), events)
            file = open_events(events, settings.event, settings.labels.field)
            train_and_register(settings, file, None, None)
            weir = [sys.executable, "-m", "weir"]
            subprocess.run([*weir, "topics", "-c", str(config)], check=True, capture_output=True)
            count = 1 if order.topology == "fused" else 2
            scorers = [Scorer(config, f"scorer-{number + 1}") for number in range(count)]
            trial = Trial(broker, settings, scorers)
            trial.run(Sender(settings, file), order.restarts, order.per_second, order.away)
            for scorer in scorers:
                scorer.process.terminate()
                code = scorer.process.wait(60)
                if code:
                    trial.found.append(f"{scorer.log.stem} ended with exit code {code}")
                if order.logs:
                    print(scorer.log.read_text())
    print("\n".join(trial.found) or "all as it should be")
    return 1 if trial.found else 0


if __name__ == "__main__":
    sys.exit(main())
