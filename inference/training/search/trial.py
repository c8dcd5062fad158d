"""One trial of a search: settings, judged on folds of a table, in whatever process it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.evaluation.evaluate import event_days
from inference.evaluation.metrics import auc, average_precision, card_precision_at_k
from inference.training.fraud_model import fit_fraud_model
from inference.training.prequential import Fold, between, still_unknown
from inference.training.settings import TrainingSettings
from inference.training.training_set import TrainingSet
from streams.base.clock import now_ms


@dataclass(frozen=True)
class TrialRules:
    """What all trials of a search are judged by. It can be pickled, and so can settings.

    Attributes:
        table: the file that `write_rows` wrote, as the trial's process can read it.
        folds: to train and test on.
        delay: of labels, in ms.
        metric: see `inference.training.settings.SearchSettings`.
        k: cards a day for the card precision.
    """

    table: Path
    folds: tuple[Fold, ...]
    delay: int
    metric: str
    k: int


class TrialResult(NamedTuple):
    """What came of one trial.

    Attributes:
        figure: mean of the metric over folds, NaN where it failed.
        begun: UTC milliseconds.
        seconds: how long it took.
        failed: why there is no figure; empty where there is one.
    """

    figure: float
    begun: int
    seconds: float
    failed: str = ""


RunTrials = Callable[[TrialRules, Sequence[TrainingSettings]], Sequence[TrialResult]]
"""Runs some trials, on other machines if it likes; the results are in their order."""


def run_trials(rules: TrialRules, asked: Sequence[TrainingSettings]) -> list[TrialResult]:
    """Run trials one after the other, here: the `RunTrials` of one machine."""
    return [run_trial(rules, settings) for settings in asked]


def run_trial(rules: TrialRules, settings: TrainingSettings) -> TrialResult:
    """Fit the fraud model in each fold, and measure.

    The protocol's own packages are of the same model, so they rank the same; the anomaly model and
    the calibration, which change no order, are left out.
    """
    begun, since = now_ms(), monotonic()
    try:
        figures = [_figure(rules, read_rows(rules.table), fold, settings) for fold in rules.folds]
    except (ValueError, ArithmeticError) as error:  # such as of a network whose weights ran away
        return TrialResult(float("nan"), begun, monotonic() - since, str(error) or repr(error))
    return TrialResult(float(np.mean(figures)), begun, monotonic() - since)


class TrialRows(NamedTuple):
    """Rows in the order of time, as in `TrainingSet`; weights may be none."""

    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    weights: NDArray[np.float64] | None


def write_rows(data: TrainingSet, rows: slice, path: Path) -> None:
    """Write what trials need of these rows of the data, which have keys, to a file of Arrow.

    Raises:
        OSError: it can't be written.
    """
    assert data.keys is not None
    matrix = np.ascontiguousarray(data.matrix[rows])
    columns = {
        "features": pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]),
        "label": pa.array(data.labels[rows]),
        "time": pa.array(data.times[rows]),
        "key": pa.array(data.keys[rows]),
    }
    if data.weights is not None:
        columns["weight"] = pa.array(data.weights[rows])
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(table)))


def read_rows(path: Path) -> TrialRows:
    """What `write_rows` wrote, mapped into memory and not copied."""
    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
    features = batch.column("features")
    weighted = "weight" in batch.schema.names
    return TrialRows(
        features.flatten().to_numpy().reshape(-1, features.type.list_size),
        batch.column("label").to_numpy(),
        batch.column("time").to_numpy(),
        batch.column("key").to_numpy(),
        batch.column("weight").to_numpy() if weighted else None,
    )


def _figure(rules: TrialRules, rows: TrialRows, fold: Fold, settings: TrainingSettings) -> float:
    taught = between(rows.times, fold.train_start, fold.train_stop)
    model = fit_fraud_model(
        rows.matrix[taught],
        rows.labels[taught],
        settings,
        None if rows.weights is None else rows.weights[taught],
        lambda share: None,
    )
    tested = still_unknown(rows.labels, rows.times, rows.keys, fold, rules.delay)
    score, labels = model.margin(rows.matrix[tested]), rows.labels[tested]
    if rules.metric == "card_precision":
        days = event_days(rows.times[tested])
        return card_precision_at_k(days, rows.keys[tested], labels, score, rules.k)
    weights = None if rows.weights is None else rows.weights[tested]
    measure = {"auc": auc, "average_precision": average_precision}[rules.metric]
    return float(measure(labels, score, weights))
