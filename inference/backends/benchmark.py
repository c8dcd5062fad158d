"""Times engines beside each other, on the same rows and in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

Contestant = Callable[[NDArray[np.float32]], Any]
"""Answers rows (n, k)."""

_ROUNDS = 20
_LEAST_CALLS = 3


@dataclass(frozen=True)
class Timing:
    """How a contestant did with batches of one size.

    Attributes:
        calls: how many were timed.
        p50_us, p99_us: of the time of a call, in microseconds.
        rows_per_s: batch size over the median.
        turns_us: the median of each turn; turns of the same place were next to each other in time.
    """

    calls: int
    p50_us: float
    p99_us: float
    rows_per_s: float
    turns_us: tuple[float, ...] = field(repr=False)


def ratio(timing: Timing, peers: Sequence[Timing]) -> float:
    """Time over that of the fastest peer: the median over turns, each compared with its own.

    What slows the machine for a while slows neighbours alike, and so says nothing here.
    """
    fastest = np.min([peer.turns_us for peer in peers], axis=0)
    return float(np.median(np.array(timing.turns_us) / fastest))


def bench_engines(
    contestants: Mapping[str, Contestant],
    rows: NDArray[np.float32],
    sizes: Sequence[int],
    seconds: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[int, Timing]]:
    """Time every contestant on batches of every size.

    They take turns, some milliseconds each, so that whatever else the machine does hits all of them
    alike. Batches are taken from changing places of `rows`, as real ones would be.

    Args:
        rows: (n, k), n at least as many as the largest size.
        seconds: for one contestant and size.
    """
    timings: dict[str, dict[int, Timing]] = {name: {} for name in contestants}
    total = len(sizes) * _ROUNDS
    for number, size in enumerate(sizes):
        batches = _batches(rows, size)
        turns: dict[str, list[list[float]]] = {name: [] for name in contestants}
        for contestant in contestants.values():
            contestant(batches[0])
        for turn in range(_ROUNDS):
            for name, contestant in contestants.items():
                turns[name].append(_turn(contestant, batches, seconds / _ROUNDS))
            progress(number * _ROUNDS + turn + 1, total)
        for name, taken in turns.items():
            times = np.concatenate(taken)
            p50, p99 = np.percentile(times, [50, 99])
            timings[name][size] = Timing(
                len(times),
                round(p50 * 1e6, 2),
                round(p99 * 1e6, 2),
                round(size / p50),
                tuple(round(float(np.median(turn)) * 1e6, 2) for turn in taken),
            )
    return timings


def _batches(rows: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    starts = range(0, len(rows) - size + 1, max(1, size // 2))
    return [rows[start : start + size] for start in list(starts)[:64]]


def _turn(
    contestant: Contestant, batches: Sequence[NDArray[np.float32]], seconds: float
) -> list[float]:
    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(times) < _LEAST_CALLS:
        batch = batches[len(times) % len(batches)]
        start = perf_counter()
        contestant(batch)
        times.append(perf_counter() - start)
    return times
