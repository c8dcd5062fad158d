"""Labelled feature vectors: what models are trained and measured on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError
from inference.packages.data_version import DataVersion

_LEAST_FRAUDS = 10
_LEAST_WEIGHT = 1e-4
"""Rows that weigh less only take time."""


class TrainingError(InferenceError):
    """The data cannot train a model; the message says what to change."""


class Rows(NamedTuple):
    """What a model is fitted on.

    Attributes:
        matrix: float32 (n, k), ``NaN`` where missing.
        labels: 1 for fraud and 0 for legitimate, (n,).
        weights: how many events each one stands for, above 0, (n,); 1 each where None.
    """

    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    weights: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class WeakRows:
    """Events that have no label yet, with what is held for likely meanwhile.

    Attributes:
        matrix: float32 (n, k), ``NaN`` where missing.
        chance: of fraud, (n,).
        weights: how many labelled events each one is worth, (n,).
    """

    matrix: NDArray[np.float32]
    chance: NDArray[np.float64]
    weights: NDArray[np.float64]

    def beside(self, rows: Rows) -> Rows:
        """Rows with these behind them: each as a fraud and as legitimate, by its chance."""
        parts = [rows.matrix]
        labels = [rows.labels]
        weights = [np.ones(len(rows.labels)) if rows.weights is None else rows.weights]
        for label, chance in ((1, self.chance), (0, 1 - self.chance)):
            weight = self.weights * chance
            counts = weight > _LEAST_WEIGHT
            parts.append(self.matrix[counts])
            labels.append(np.full(np.count_nonzero(counts), label, np.int8))
            weights.append(weight[counts])
        return Rows(np.concatenate(parts), np.concatenate(labels), np.concatenate(weights))


@dataclass(frozen=True)
class TrainingSet:
    """Labelled feature vectors in order of time.

    Attributes:
        matrix: float32 (n, k), ``NaN`` where missing.
        labels: 1 for fraud and 0 for legitimate, (n,).
        times: event times, UTC milliseconds, never falling, (n,).
        feature_names: names of the columns, k of them.
        feature_definitions: the declarations that the columns were computed from.
        feature_schema_hash: their hash.
        data_sha256: names the data that this was computed from.
        weights: how many events each one stands for, above 0, (n,); 1 each where None.
        version: where the data are from.
        weak: later events, whose label has not come.
        keys: whose each event is, such as a card, as a number in the order of the keys, (n,).
        stakes: what each event is about, as ``policy.costs.amount`` says, ``NaN`` where missing,
            (n,); None where there are no costs.
    """

    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    times: NDArray[np.int64]
    feature_names: tuple[str, ...]
    feature_definitions: dict[str, Any]
    feature_schema_hash: str
    data_sha256: str
    weights: NDArray[np.float64] | None = None
    version: DataVersion | None = None
    weak: WeakRows | None = None
    keys: NDArray[np.int64] | None = None
    stakes: NDArray[np.float64] | None = None

    def weights_of(self, rows: slice) -> NDArray[np.float64] | None:
        """The weights of some rows."""
        return None if self.weights is None else self.weights[rows]


def checked_labels(data: TrainingSet) -> NDArray[np.int8]:
    """Return the labels (n,), once everything about the set is as it says.

    Raises:
        TrainingError: types, shapes, labels or the order of time are wrong.
    """
    n, width = data.matrix.shape
    if data.matrix.dtype != np.float32:
        raise TrainingError(f"the matrix is {data.matrix.dtype}, not float32, as serving computes")
    if width != len(data.feature_names) or len(set(data.feature_names)) != width:
        raise TrainingError(
            f"{width} columns need as many different feature names; got {len(data.feature_names)}"
        )
    if len(data.labels) != n or len(data.times) != n:
        raise TrainingError(
            f"{n} rows, {len(data.labels)} labels and {len(data.times)} times do not match"
        )
    unknown = ~np.isin(data.labels, (0, 1))
    if unknown.any():
        raise TrainingError(
            f"{np.count_nonzero(unknown)} labels are neither 0 nor 1, the first in row "
            f"{np.argmax(unknown)}: leave out events whose label is not known yet"
        )
    if data.weights is not None and (data.weights.shape != (n,) or not (data.weights > 0).all()):
        raise TrainingError(f"{n} rows need a weight each, above 0")
    if (np.diff(data.times) < 0).any():
        raise TrainingError("rows are not in order of time: sort them by event time")
    return np.asarray(data.labels, dtype=np.int8)


def split_by_time(data: TrainingSet, labels: NDArray[np.int8], fraction: float) -> int:
    """Return the first held-out row, for the latest `fraction` of them.

    Rows of one time are on the same side.

    Raises:
        TrainingError: either side has too few frauds or legitimate events.
    """
    n = len(labels)
    at = int(np.searchsorted(data.times, data.times[int(n * (1 - fraction))])) if n else 0
    for name, part in (("earlier", labels[:at]), ("held-out", labels[at:])):
        frauds = int(np.count_nonzero(part))
        if frauds < _LEAST_FRAUDS or len(part) - frauds < _LEAST_FRAUDS:
            day = f" from {_day(data.times[at])} on" if name == "held-out" and n else ""
            raise TrainingError(
                f"the {len(part)} {name} rows{day} have {frauds} frauds and {len(part) - frauds} "
                f"legitimate events; {_LEAST_FRAUDS} of each are needed. Train on a longer period, "
                "or change training.holdout_fraction"
            )
    return at


def _day(time: np.int64) -> str:
    return datetime.fromtimestamp(int(time) / 1000, UTC).date().isoformat()
