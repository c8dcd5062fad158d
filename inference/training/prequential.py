"""How good a way of training is: trained on a span, tested on a later one, again and again.

The protocol of Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit
Card Fraud Detection - Practical Handbook" (ULB, 2022), chapter 5: between training and test lies
the delay of labels, and keys that are known to be defrauded by then are not tested any more.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.engine.onnx_session import load_session, run_session
from inference.evaluation.evaluate import DAY_MS, event_days
from inference.evaluation.metrics import auc, average_precision, card_precision_at_k
from inference.packages.package import ModelPackage
from inference.training.settings import PrequentialSettings, TrainingSettings
from inference.training.train import Progress, train
from inference.training.training_set import TrainingError, TrainingSet
from streams.base.clock import utc


class Fold(NamedTuple):
    """Spans of one fold, UTC milliseconds, ends left out."""

    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


@dataclass(frozen=True)
class FoldResult:
    """What came of one fold.

    Attributes:
        fold: its spans.
        trained, tested: how many events.
        frauds: of the tested ones.
        auc, average_precision, card_precision: see `inference.evaluation.metrics`.
    """

    fold: Fold
    trained: int
    tested: int
    frauds: int
    auc: float
    average_precision: float
    card_precision: float


def folds_until(end: int, delay: int, settings: PrequentialSettings) -> list[Fold]:
    """The folds of which the last one's test ends at `end`, the earliest first.

    Args:
        end: UTC milliseconds.
        delay: of labels, in ms: it lies between training and test.
    """
    found = []
    for back in reversed(range(settings.folds)):
        stop = end - back * settings.test
        train_stop = stop - settings.test - delay
        found.append(Fold(train_stop - settings.train, train_stop, stop - settings.test, stop))
    return found


def reaches(times: NDArray[np.int64], folds: list[Fold]) -> bool:
    """Whether events of these rising times (n,) are there from the first fold's day on."""
    return len(times) > 0 and int(times[0]) // DAY_MS <= folds[0].train_start // DAY_MS


def prequential(
    data: TrainingSet,
    folds: list[Fold],
    delay: int,
    settings: TrainingSettings,
    k: int,
    progress: Progress,
) -> Iterator[FoldResult]:
    """Train and test fold by fold.

    Args:
        data: events of all folds, with their keys.
        delay: of labels, in ms.
        k: cards a day for the card precision.

    Raises:
        TrainingError: nothing can be trained in a fold, or it has nothing to test.
    """
    assert data.keys is not None
    keys = data.keys
    for place, fold in enumerate(folds):
        title = f"fold {place + 1} of {len(folds)}"

        def told(step: str, share: float, title: str = title) -> None:
            progress(f"{title}: {step}", share)

        rows = between(data.times, fold.train_start, fold.train_stop)
        tested = still_unknown(data.labels, data.times, keys, fold, delay)
        check_testable(data.labels[tested], fold, title)
        with tempfile.TemporaryDirectory(prefix="weir-fold-") as folder:
            package = train(_part(data, rows), settings, Path(folder), told)
            score = _scores(package, data.matrix[tested])
        labels, days = data.labels[tested], event_days(data.times[tested])
        weights = None if data.weights is None else data.weights[tested]
        yield FoldResult(
            fold,
            trained=rows.stop - rows.start,
            tested=len(tested),
            frauds=int(labels.sum()),
            auc=auc(labels, score, weights),
            average_precision=average_precision(labels, score, weights),
            card_precision=card_precision_at_k(days, keys[tested], labels, score, k),
        )


def still_unknown(
    labels: NDArray[np.int8], times: NDArray[np.int64], keys: NDArray[Any], fold: Fold, delay: int
) -> NDArray[np.intp]:
    """Rows to test: those of keys without a fraud, since training began, that is known by the day.

    A label is known on a day if its event was `delay` before that day began.

    Args:
        labels, times, keys: of all rows, in the order of time, (n,).
    """
    _, codes = np.unique(keys, return_inverse=True)
    frauds = np.flatnonzero((labels == 1) & (times >= fold.train_start))
    first = np.full(codes.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, codes[frauds], times[frauds])
    rows = np.arange(len(keys))[between(times, fold.test_start, fold.test_stop)]
    day = event_days(times[rows]) * DAY_MS
    return rows[first[codes[rows]] >= day - delay]


def check_testable(labels: NDArray[np.int8], fold: Fold, title: str) -> None:
    """Refuse a fold whose tested rows, of these labels, tell nothing.

    Raises:
        TrainingError: they are all of one kind.
    """
    if not labels.any() or labels.all():
        what = "legitimate event" if labels.any() else "fraud"
        raise TrainingError(f"{title}: there is no {what} to test from {utc(fold.test_start)}")


def between(times: NDArray[np.int64], start: int, stop: int) -> slice:
    """Rows with ``start <= time < stop``, of rising times (n,)."""
    return slice(int(np.searchsorted(times, start)), int(np.searchsorted(times, stop)))


def _scores(package: ModelPackage, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    session = load_session(package.model, "the fold's model")
    return run_session(session, np.ascontiguousarray(matrix)).score


def _part(data: TrainingSet, rows: slice) -> TrainingSet:
    return replace(
        data,
        matrix=data.matrix[rows],
        labels=data.labels[rows],
        times=data.times[rows],
        weights=data.weights_of(rows),
        keys=None,
        stakes=None,
    )
