"""The scorer of two checkouts on the same events: CPU per event, and where its time goes.

Each run is `weir score` in a process of its own, in a consumer group of its own, on the same topics
of the same broker with the same model, one checkout after the other in pairs. What is compared is
the CPU time of the process from the start of its loop to the last answer, which a busy machine
changes less than the time on the clock. Only commands, settings and metrics are relied on, so the
other checkout may be laid out otherwise.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from urllib.request import urlopen

OVERLAPPED = ("produce", "commit")
"""A transaction is written and committed in a thread while the next batch is computed."""

_LOOK_S = 0.5
"""Seldom: every look at its metrics costs the scorer some milliseconds."""

_PATIENCE_S = 300.0
_SAMPLE = re.compile(r'^(\w+)(?:\{(?:stage="(\w+)"|[^}]*)\})? (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What one scorer took, per event, in microseconds.

    Attributes:
        wall: from the start of the loop, so with joining the group, to the last answer.
        cpu: of all its threads, meanwhile.
        stages: of the time of the loop, by stage, meanwhile.
    """

    wall: float
    cpu: float
    stages: dict[str, float]

    def as_dict(self) -> dict[str, float]:
        """Everything, by name."""
        rest = {"in no stage": self.unnamed, "wall": self.wall, "cpu": self.cpu}
        return {name: round(us, 3) for name, us in (self.stages | rest).items()}

    @property
    def unnamed(self) -> float:
        """What of the wall time is in no stage."""
        return self.wall - sum(us for name, us in self.stages.items() if name not in OVERLAPPED)


@dataclass(frozen=True)
class Moment:
    """A scorer at a moment: events that it has answered, and seconds spent so far."""

    clock_s: float
    cpu_s: float
    events: int
    stages: dict[str, float]

    @classmethod
    def of(cls, pid: int, address: str) -> "Moment":
        """That of a process, by its metrics."""
        samples = _SAMPLE.findall(urlopen(address, timeout=30).read().decode())
        # utime and stime, behind the name of the command in brackets.
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return cls(
            clock_s=perf_counter(),
            cpu_s=sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
            events=sum(int(float(n)) for name, _, n in samples if name == "weir_events_total"),
            stages={
                stage: float(n) for name, stage, n in samples if name == "weir_stage_seconds_sum"
            },
        )

    def since(self, begin: "Moment") -> Run:
        """What it took from then to now."""
        us = 1e6 / (self.events - begin.events)
        return Run(
            wall=(self.clock_s - begin.clock_s) * us,
            cpu=(self.cpu_s - begin.cpu_s) * us,
            stages={
                name: (seconds - begin.stages.get(name, 0.0)) * us
                for name, seconds in self.stages.items()
            },
        )


def compare(
    checkouts: dict[str, Path], config: Path, servers: str, events: int, pairs: int, core: int
) -> dict[str, list[Run]]:
    """Run the scorers in turns; a first run of each, to compile its kernels, does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in checkouts}
    for turn in range(pairs + 1):
        for name, checkout in checkouts.items():
            run = _run(checkout, config, servers, f"{name}-{turn}", events, core)
            print(f"{name} {turn}: {run.cpu:.2f} us of CPU per event", file=sys.stderr, flush=True)
            if turn:
                runs[name].append(run)
    return runs


def command(checkout: Path, config: Path, servers: str, *arguments: str) -> None:
    """Run a command of a checkout to its end."""
    subprocess.run(
        _weir(config, *arguments),
        cwd=checkout,
        env=_environment(servers),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _run(checkout: Path, config: Path, servers: str, group: str, events: int, core: int) -> Run:
    with _scorer(checkout, config, servers, group, core) as (process, address):
        begin = now = Moment.of(process.pid, address)
        while now.events < events:
            if perf_counter() - begin.clock_s > _PATIENCE_S:
                raise TimeoutError(f"{checkout}: {now.events:,} of {events:,} events answered")
            sleep(_LOOK_S)
            try:
                now = Moment.of(process.pid, address)
            except OSError:  # a busy machine may be too slow to answer
                if process.poll() is not None:
                    raise
    return now.since(begin)


@contextmanager
def _scorer(
    checkout: Path, config: Path, servers: str, group: str, core: int
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    log = config.parent / f"{group}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _weir(config, "score", "--metrics-port", "0"),
            cwd=checkout,
            env=_environment(servers) | {"WEIR_LOOP__GROUP": group},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    os.sched_setaffinity(process.pid, {core})
    try:
        while not (found := re.search(r"http://[\w.:]+/metrics", log.read_text())):
            if process.poll() is not None:
                raise ChildProcessError("it ended before it was ready")
            sleep(0.05)
        yield process, found[0]
    except OSError as error:
        raise RuntimeError(f"the scorer of {checkout}: {error}; {log.read_text()}") from error
    finally:
        process.terminate()
        process.wait()


def _weir(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "weir", *arguments, "--config", str(config)]


def _environment(servers: str) -> dict[str, str]:
    return {**os.environ, "WEIR_KAFKA__BOOTSTRAP_SERVERS": servers, "PYTHONPATH": ""}


def stage_table(runs: dict[str, list[Run]]) -> list[str]:
    """A line per stage: the median time per event, and its share of the wall time."""
    every = (run for each in runs.values() for run in each)
    names = dict.fromkeys(name for run in every for name, us in run.stages.items() if us)
    lines = [f"{'us per event':<24}" + "".join(f"{name:>18}" for name in runs)]

    def line(title: str, of: "dict[str, list[float]]") -> None:
        walls = {name: median(run.wall for run in each) for name, each in runs.items()}
        cells = (
            f"{median(us):>10.2f} ({median(us) / walls[name]:4.0%})" if us else f"{'-':>18}"
            for name, us in of.items()
        )
        lines.append(f"{title:<24}" + "".join(cells))

    for stage in names:
        title = f"{stage} (overlapped)" if stage in OVERLAPPED else stage
        line(
            title,
            {
                name: [run.stages[stage] for run in each if stage in run.stages]
                for name, each in runs.items()
            },
        )
    line("in no stage", {name: [run.unnamed for run in each] for name, each in runs.items()})
    line("wall", {name: [run.wall for run in each] for name, each in runs.items()})
    line("CPU of the process", {name: [run.cpu for run in each] for name, each in runs.items()})
    return lines
