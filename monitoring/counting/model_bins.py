"""The bins that a model's vectors and answers are counted over, as its package has frozen them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.packages.drift_reference import DriftReference, Histogram
from monitoring.counting.kernels import Binning
from monitoring.counting.memory import Memory
from streams.feature_log import feature_columns

ANSWER = "answer:"
"""With what the names of a model's answers begin, among those of its features."""


class ModelBins:
    """What is counted of one model.

    Args:
        features: names of the features that the model reads.
        background: some vectors of the model's training, (b, features); none where empty.
        memories: what features are made of, by name; see `monitoring.counting.memory`.

    Attributes:
        histograms: of the reference, by name: features that the model reads, then its answers.
        timezone: whose hours of the week these are counted by.
        importance: of each, in what moves the model's answers: 1 for a feature of middling
            importance, for answers, and where it is not known.
        binning: of all of these.
        background: vectors of the training, of those features alone that are counted.
    """

    def __init__(
        self,
        features: Sequence[str],
        reference: DriftReference,
        background: NDArray[np.float32] | None = None,
        memories: Mapping[str, Memory] | None = None,
    ) -> None:
        counted = [place for place, name in enumerate(features) if name in reference.features]
        self._features = [features[place] for place in counted]
        if background is None:
            background = np.empty((0, len(features)), np.float32)
        self.background = background[:, counted]
        self.memories = memories or {}
        self._answers = list(reference.outputs)
        self.timezone = reference.timezone
        self.histograms: dict[str, Histogram] = {
            **{name: reference.features[name] for name in self._features},
            **{f"{ANSWER}{name}": reference.outputs[name] for name in self._answers},
        }
        whole = len(reference.importance)
        self.importance = {
            name: reference.importance.get(name, 1 / whole) * whole if whole else 1.0
            for name in self.histograms
        }
        self.binning = Binning([each.edges for each in self.histograms.values()])

    @property
    def shape(self) -> tuple[int, int]:
        """How many features and bins there are."""
        return len(self.histograms), self.binning.bins

    def matrix(self, table: pa.Table) -> NDArray[np.float32]:
        """Features and answers of a table of the feature log, (n, features).

        Raises:
            ValueError, KeyError: a feature or an answer is not there.
        """
        answers = [table[name].to_numpy().astype(np.float32) for name in self._answers]
        matrix = np.column_stack([feature_columns(table, self._features), *answers])
        return np.ascontiguousarray(matrix, np.float32)

    def count(
        self, matrix: NDArray[np.float32], cells: NDArray[np.int64], number: int
    ) -> NDArray[np.int64]:
        """Count rows (n, features), (number, features, bins).

        Args:
            cells: to which of `number` cells each row goes, (n,).
        """
        counts = np.zeros((number, *self.shape), np.int64)
        self.binning.count(matrix, cells, counts)
        return counts
