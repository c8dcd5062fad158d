"""The golden batch: what a model answers is the same each time, and each event's own."""

import numpy as np
from numpy.typing import NDArray

from inference.importing.sandbox.running import Answers, Runner
from inference.importing.static.refusal import ImportRefusedError

ROWS = 64


def golden_rows(width: int, seen: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return rows (64, width): of the data `seen` (m, width) where there are some, and far ones."""
    rng = np.random.default_rng(20_261_121)
    rows = rng.normal(size=(ROWS, width)) * np.repeat([0.5, 3, 30, 1_000], ROWS // 4)[:, None]
    rows[0] = 0
    if seen is not None and len(seen):
        chosen = np.sort(rng.choice(len(seen), min(len(seen), ROWS // 2), replace=False))
        rows[-len(chosen) :] = seen[chosen]
    return np.asarray(rows, np.float32)


def odd_rows(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (m, k) of which each has one number that nobody expects, and else those of `row`.

    Such numbers are no reason to fail: a category of yesterday, an amount beyond float32.
    """
    largest = float(np.finfo(np.float32).max)
    odd = [sign * size for size in (1e6, 1e9, largest, np.inf) for sign in (1, -1)]
    rows = np.tile(row, (len(odd) * len(row), 1))
    rows[np.arange(len(rows)), np.repeat(np.arange(len(row)), len(odd))] = odd * len(row)
    return rows


def check_repeatable(runner: Runner, rows: NDArray[np.float32]) -> Answers:
    """Return the answers to rows, which are asked for twice.

    Raises:
        ImportRefusedError: an answer changes from one time to the next.
    """
    answers, again = runner(rows), runner(rows)
    for name, values in answers.items():
        if not np.array_equal(values, again[name], equal_nan=True):
            raise ImportRefusedError(
                f"output {name!r}",
                "the same rows have other answers the second time",
                "Remove what is random, and export in evaluation mode",
            )
    return answers


def check_row_by_row(
    runner: Runner, rows: NDArray[np.float32], whole: Answers, tolerance: float
) -> None:
    """Check that every row's answers are the same alone as they were in a batch.

    Raises:
        ImportRefusedError: they are not.
    """
    for name, values in runner.one_by_one(rows).items():
        worst = difference(values, whole[name])
        if worst > tolerance:
            raise ImportRefusedError(
                f"output {name!r}",
                f"an event's answer depends on the others in its batch, by up to {worst:.3g}",
                "A model may not mix rows: no normalisation, sorting or softmax over the batch",
            )


def difference(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Return the largest difference, relative where values are above 1; ``NaN`` equals itself."""
    x, y = (np.asarray(each, np.float64) for each in (a, b))
    if x.shape != y.shape or not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return float("inf")
    known = np.isfinite(x)
    gap = np.abs(x[known] - y[known]) / np.maximum(1, np.abs(y[known]))
    return float(gap.max(initial=0.0))
