"""What a shadow costs the champion: end-to-end latency with and without one, in one run.

A scorer of its own process answers a replay at a third of the largest rate that it can keep. Spans
without a shadow and spans with one take turns. In each of the latter the candidate is unwell in
another way: it answers; it is stopped, so that it never does; it is killed once a second; it has
the processor all the time; the shadow itself is stopped. Latency is from the event's Kafka
timestamp to when a consumer of committed records has the score. Afterwards every event is looked
for, and every score computed again by plain ONNX Runtime.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from benchmarks.score_watcher import Scores
from benchmarks.swaps import Phase, Replay, check, largest_rate, latency, prepare
from streams.base.child_process import our_module, tied_to_us
from streams.replay.pace import Pace
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import load_settings
from weir.demo.scorer_process import DemoScorer
from weir.services.wiring import open_registry

TARGET = 1.2
SHARE = 1 / 3
_WARM_UP = 20_000
_PATIENCE_S = 120.0
_LOOK_S = 0.2
_PORT = 19_467


class Shadow:
    """A running `weir shadow`, and its candidate's process."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config, self._log = config, log
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Shadow":
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                tied_to_us(
                    our_module(
                        *("weir", "shadow", "--metrics-port", str(_PORT)),
                        *("--config", str(self._config)),
                    )
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = monotonic() + _PATIENCE_S
        while not self._caught_up():
            if monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"the shadow does not come up:\n{self._log.read_text()}")
            sleep(_LOOK_S)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the shadow itself."""
        self._process.send_signal(number)

    def hit_candidates(self, number: signal.Signals) -> None:
        """Send a signal to each candidate's process."""
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children():
                with suppress(psutil.Error):
                    child.send_signal(number)

    def _caught_up(self) -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{_PORT}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
            answering = any(
                line.startswith("weir_shadow_candidate_answering{") and line.endswith(" 1.0")
                for line in lines
            )
            lag = [line for line in lines if line.startswith("weir_lag_records{")]
            return answering and bool(lag) and all(line.endswith(" 0.0") for line in lag)
        return False


def spin(stop: threading.Event) -> None:
    """A process with the candidate's priority that wants all of a processor."""
    code = "import os\nos.nice(10)\nwhile True: pass"
    process = subprocess.Popen(tied_to_us([sys.executable, "-c", code]))
    stop.wait()
    process.kill()
    process.wait()


def unwell(shadow: Shadow, how: str, stop: threading.Event) -> None:
    """Make the candidate unwell until `stop` is set."""
    if how == "it takes a processor":
        spin(stop)
    elif how == "the shadow is stopped":
        shadow.send(signal.SIGSTOP)
        stop.wait()
        shadow.send(signal.SIGCONT)
    elif how != "it answers":
        number = signal.SIGSTOP if how == "it never answers" else signal.SIGKILL
        while not stop.wait(1.0):
            shadow.hit_candidates(number)


WAYS = (
    "it answers",
    "it never answers",
    "it is killed each second",
    "it takes a processor",
    "the shadow is stopped",
)


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        seconds={"type": float, "default": None, "help": "of each span"},
        pairs={"type": int, "default": len(WAYS)},
    )
    seconds = args.seconds or (6.0 if args.quick else 20.0)
    pairs = min(args.pairs, 1) if args.quick else args.pairs
    count = 300_000 if args.quick else 2_000_000
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="weir-shadow-") as name:
        folder = Path(name)
        with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
            config, file, models = prepare(folder, count, broker.bootstrap_servers)
            settings = load_settings(config)
            add = our_module("weir", "shadow", "add", str(models[1].version), "-c", str(config))
            subprocess.run([*add, "--by", "benchmark"], check=True, stdout=sys.stderr)
            replay = Replay(file, settings)
            partitions = settings.topics.partitions
            seen_in = folder / "seen.npz"
            watched = Scores(settings.kafka, settings.topics.scores, partitions, seen_in)
            phases: list[tuple[str, Phase, Phase]] = []
            with DemoScorer(config, os.environ, folder / "scorer.log") as scorer, watched:
                sent = replay.send(_WARM_UP, Pace())
                watched.wait_for(sent, scorer)
                step_s = 2.0 if args.quick else 4.0
                largest, sent = largest_rate(replay, watched, scorer, sent, step_s)
                rate = SHARE * largest
                seconds = min(seconds, (count - sent) / (2.2 * pairs) / rate)

                def span(label: str) -> Phase:
                    nonlocal sent
                    phase = Phase(label, round(rate * seconds), start=time())
                    sent += replay.send(phase.events, Pace(rate=rate))
                    phase.end = time()
                    watched.wait_for(sent, scorer)
                    return phase

                for number in range(pairs):
                    how = WAYS[number % len(WAYS)]
                    without = span("without")
                    with Shadow(config, folder / "shadow.log") as shadow:
                        with_one = during(lambda stop, s=shadow, h=how: unwell(s, h, stop), span)
                    phases.append((how, without, with_one))
                    print(f"{how}: done", file=sys.stderr)
            seen = dict(np.load(seen_in))
            registry = open_registry(settings)
            packages = {each.package[:12]: registry.resolve(each.version) for each in models}
            right = check(settings, packages, sent, seen, [models[0].package[:12]])
    found = {
        how: {"without": latency(seen, first), "with": latency(seen, second)}
        for how, first, second in phases
    }
    ratios = {how: at["with"]["p99_ms"] / at["without"]["p99_ms"] for how, at in found.items()}
    ratio = float(np.median(list(ratios.values())))
    lines = [f"{rate:,.0f} events/s, a third of the largest rate; {seconds:.0f} s a span"]
    lines += [
        f"  {how:<26} p99 {at['without']['p99_ms']:7.1f} ms without, {at['with']['p99_ms']:7.1f} "
        f"ms with: {ratios[how]:.2f}"
        for how, at in found.items()
    ]
    lines.append(json.dumps(right))
    answers_right = right["lost"] == right["doubled"] == 0
    answers_right = answers_right and right["scores_not_of_the_model_named"] == 0
    report(
        args,
        name="wedged-shadow",
        figure=round(ratio, 3),
        unit="of the p99 without a shadow",
        target=TARGET,
        met=bool(ratio <= TARGET and answers_right),
        details={"rate": round(rate), "seconds": seconds, "spans": found, **right},
        text="\n".join(lines),
    )


def during(beside: Callable[[threading.Event], None], span: Callable[[str], Any]) -> Any:
    """A span while something else goes on beside it."""
    stop = threading.Event()
    thread = threading.Thread(target=beside, args=[stop])
    thread.start()
    try:
        return span("with")
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
