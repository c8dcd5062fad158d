"""Drift: how fast events are counted, how seldom a quiet stream is called, how soon a shift is.

Counting is that of the monitor's kernels, for 30 features and without segments, per core; beside it
with three fields of eight values, packed; with the records of the feature log decoded; and
evidently and river on the same rows, each in an environment of its own. Stationary windows are
spans of streams of 30 features that have not changed: independent, autocorrelated (0.8), or with a
daily wave in each feature, looked at after each 100 events, from scratch; a window counts if any
feature is called. Delays are from a shift of one feature until it is called, in events, after so
many quiet ones.
"""

import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import beta

sys.path.pop(0)  # this folder, whose lime.py would hide the package
sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.drift_worlds.peers import rates
from benchmarks.drift_worlds.worlds import CELL, FEATURES, KINDS, Kind, World
from benchmarks.harness import arguments, report
from inference.packages.drift_reference import DriftReference, fit_histogram
from monitoring.counting.details import details_of
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.segments import count_segments, pack_segments
from monitoring.drift.detector import Watched
from streams.feature_log import Arm, FeatureLogWriter, ScoredEvents, read_feature_log

TARGET = 1_000_000
BOUND = 0.015
SIZES = {200: 10_000, 1_000: 10_000, 2_000: 10_000, 20_000: 500, 200_000: 500}
_TOGETHER = 50
"""Windows that are watched at once."""
_SHIFTS, _QUIET, _LONGEST = (0.1, 0.25, 0.5), (0, 2_000, 10_000), 20_000


def main() -> None:
    """Measure, and report."""
    extra = {
        "seed": {"type": int, "default": 15},
        "without-peers": {"action": "store_true", "help": "don't ask other libraries"},
    }
    args = arguments(__doc__ or "", **extra)
    rng = np.random.default_rng(args.seed)
    speed = speeds(rng, args.quick)
    folder = Path(tempfile.gettempdir()) / "weir-drift-peers"
    rows, other = rng.standard_normal((2, 50_000, FEATURES)).astype(np.float32)
    peers = {} if args.without_peers else rates(rows, other, folder)
    windows, delays = {}, {}
    for kind in KINDS:
        windows[kind.name] = quiet(kind, rng, args.quick)
        delays[kind.name] = delay(kind, rng, 3 if args.quick else 25)
    worst = max(each["bound"] for found in windows.values() for each in found.values())
    report(
        args,
        name="drift",
        figure=speed["counting"],
        unit="events/s/core",
        target=TARGET,
        met=speed["counting"] >= TARGET and (args.quick or worst <= BOUND),
        details={"speed": speed, "peers": peers, "windows": windows, "delays": delays},
        text=_text(speed, peers, windows, delays),
    )


def speeds(rng: np.random.Generator, quick: bool) -> dict[str, float]:
    """Events per second of processor time."""
    rows = rng.standard_normal((20_000 if quick else 200_000, FEATURES)).astype(np.float32)
    names = [f"f{place}" for place in range(FEATURES)]
    histograms = {
        name: fit_histogram(column, 20) for name, column in zip(names, rows.T, strict=True)
    }
    bins = ModelBins(names, DriftReference(features=histograms, outputs={}))
    counts = np.zeros((1, *bins.shape), np.int64)
    cells = np.zeros(len(rows), np.int64)
    record = _record(names, rows[:5_000])
    fields = {
        name: ([f"{name}{place}" for place in range(8)], rng.integers(0, 8, 5_000))
        for name in ("country", "channel", "category")
    }
    everything = np.arange(5_000)
    found = {"counting": 0.0, "three segments included": 0.0, "details included": 0.0}
    found["decoding included"] = 0.0
    for _ in range(2 if quick else 7):
        start = process_time()
        bins.binning.count(rows, cells, counts)
        found["counting"] = max(found["counting"], len(rows) / (process_time() - start))
        start = process_time()
        for first in range(0, len(rows), 5_000):
            part = rows[first : first + 5_000]
            bins.binning.count(part, cells[: len(part)], counts)
            pack_segments(count_segments(bins.binning, part, everything, fields))
        rate = len(rows) / (process_time() - start)
        found["three segments included"] = max(found["three segments included"], rate)
        start = process_time()
        for first in range(0, len(rows), 5_000):
            part = rows[first : first + 5_000]
            bins.binning.count(part, cells[: len(part)], counts)
            details_of(part[::10], [])
        rate = len(rows) / (process_time() - start)
        found["details included"] = max(found["details included"], rate)
        start = process_time()
        for _ in range(4):
            matrix = bins.matrix(read_feature_log(record))
            bins.count(matrix, cells[:5_000], 1)
            details_of(matrix[::10], [])
        rate = 4 * 5_000 / (process_time() - start)
        found["decoding included"] = max(found["decoding included"], rate)
    return found


def _record(names: list[str], rows: NDArray[np.float32]) -> bytes:
    count = len(rows)
    writer = FeatureLogWriter(
        names, pa.int64(), pa.string(), ["approve"], {}, arms=[Arm("champion", "abc")]
    )
    zeros, places = np.zeros(count, np.float32), np.arange(count)
    return writer.encode(
        ScoredEvents(
            ids=places.tolist(),
            keys=["key"] * count,
            times=places,
            offsets=places,
            features=rows,
            score=zeros,
            probability=zeros,
            anomaly=zeros,
            decision=zeros.astype(np.int8),
            late=zeros.astype(bool),
            approximate=zeros.astype(bool),
            fallback=zeros.astype(bool),
            arm=zeros.astype(np.int8),
            share=zeros + 1,
            propensity=zeros + 1,
        )
    )


def quiet(kind: Kind, rng: np.random.Generator, quick: bool) -> dict[str, Any]:
    """How many windows of each size are called, though nothing has changed."""
    world = World(kind, rng)
    found = {}
    for size, number in SIZES.items():
        number = max(_TOGETHER, number // 100) if quick else number
        if quick and size > 20_000:
            continue
        called = 0
        for _ in range(number // _TOGETHER):
            called += _called(world, size)
        found[str(size)] = {
            "windows": number,
            "called": called,
            "bound": float(beta.ppf(0.95, called + 1, number - called)),
        }
    return found


def _called(world: World, size: int) -> int:
    """Of some windows that are watched at once, how many are called."""
    spans = [world.span(size) for _ in range(_TOGETHER)]
    watched = Watched.begin(world.yardstick, 0, (_TOGETHER,))
    called: set[int] = set()
    step = 20 * CELL  # events of a window at a time: they need not be in memory together
    for start in range(0, size, step):
        parts = [span[start : start + step] for span in spans]
        counted = [world.cells(times, world.rows(times)) for times in parts]
        counts = np.stack([each for each, _ in counted], axis=1)
        groups = np.stack([each for _, each in counted], axis=1)
        for cell in range(len(counts)):
            for moved in world.detector.step(watched, counts[cell], groups[cell], 0):
                called.add(moved.stream[0])
    return len(called)


def delay(kind: Kind, rng: np.random.Generator, runs: int) -> dict[str, Any]:
    """Median events until a shift of so many sd is called; None where most never are."""
    world = World(kind, rng)
    found: dict[str, Any] = {}
    for shift in _SHIFTS:
        for before in _QUIET:
            took = []
            for _ in range(runs):
                times = world.span(before + _LONGEST)
                rows = world.rows(times)
                rows[before:, 0] += shift
                took.append(_delay(world, *world.cells(times, rows), before // CELL))
            median = float(np.median(took))
            found[f"{shift:g} sd after {before:,}"] = median if np.isfinite(median) else None
    return found


def _delay(
    world: World, counts: NDArray[np.int64], groups: NDArray[np.int64], before: int
) -> float:
    watched = Watched.begin(world.yardstick, 0)
    for cell in range(len(counts)):
        moved = world.detector.step(watched, counts[cell], groups[cell], 0)
        if cell >= before and any(each.feature == 0 for each in moved):
            return (cell + 1 - before) * CELL
    return float("inf")


def _text(
    speed: dict[str, float], peers: dict[str, Any], windows: dict[str, Any], delays: dict[str, Any]
) -> str:
    lines = [f"{name}: {rate:,.0f} events/s/core" for name, rate in speed.items()]
    for name, rate in peers.items():
        lines.append(f"{name}: {rate if isinstance(rate, str) else f'{rate:,.0f} events/s/core'}")
    for kind, found in windows.items():
        for size, each in found.items():
            lines.append(
                f"{kind}, windows of {int(size):,}: {each['called']} of {each['windows']:,} "
                f"called, 95 % bound {each['bound']:.2%}"
            )
    for kind, found in delays.items():
        for what, events in found.items():
            lines.append(
                f"{kind}, {what}: {'never' if events is None else f'{events:,.0f} events'}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
