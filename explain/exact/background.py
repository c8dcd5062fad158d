"""The `lime` package's algorithm for a model package: its background rows are the training data."""

import hashlib
from dataclasses import replace

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from explain.errors import ExplainError
from explain.exact.explainer import ExactExplanation, ExactLime
from explain.exact.settings import ExactSettings, LimeSettings
from inference.engine.onnx_session import load_session, run_session
from inference.packages.package import ModelPackage

_KEPT = 16
"""Explainers, one for each set of columns that some event has values in."""


class BackgroundLime:
    """Explains the score of one package's model.

    The algorithm has no meaning for missing values. A column in which the event has none is held as
    it is, and the others are explained given that; in the background, the column's median stands in
    for a missing value.

    Args:
        seed: with the record's id, it seeds the random stream of each event, so an event has the
            same explanation whoever explains it, and in any order.

    Raises:
        EngineError: the graph does not load.
    """

    def __init__(self, package: ModelPackage, settings: LimeSettings, seed: int) -> None:
        self._session = load_session(package.model, f"model {package.short_id}")
        self._names = package.features.names
        self._settings = settings
        self._seed = seed
        self._background, self._usable = _without_gaps(package.background)
        self._explainers: LRUCache[bytes, ExactLime] = LRUCache(_KEPT)

    def explain(self, row: NDArray[np.float32], record: str) -> ExactExplanation:
        """Explain the score of an event, float32 (k,); `record` is the id of its record.

        Raises:
            ExplainError: the event has no values, they are too large, or the model's answer to a
                sample is no number.
        """
        known = self._usable & np.isfinite(row)
        if not known.any():
            raise ExplainError("the event has no value, and the `lime` package needs one to vary")
        columns = np.flatnonzero(known)
        explainer = self._explainers.get(known.tobytes())
        if explainer is None:
            explainer = self._explainers[known.tobytes()] = self._explainer(columns)

        def score(inputs: NDArray[np.float64]) -> NDArray[np.float32]:
            rows = np.tile(row, (len(inputs), 1))
            rows[:, columns] = inputs
            return run_session(self._session, rows).score

        digest = hashlib.sha256(f"{self._seed}\n{record}".encode()).digest()
        stream = np.random.RandomState(np.frombuffer(digest, "<u4"))
        found = explainer.explain(row[columns].astype(np.float64), score, stream)
        return replace(found, features=tuple(columns[list(found.features)].tolist()))

    def _explainer(self, columns: NDArray[np.intp]) -> ExactLime:
        place = {self._names[column]: i for i, column in enumerate(columns)}
        codes = [place[name] for name in self._settings.categorical_features if name in place]
        chosen = ExactSettings(
            **self._settings.model_dump(exclude={"categorical_features"}),
            categorical_features=tuple(codes),
        )
        return ExactLime(self._background[:, columns], chosen, np.random.RandomState(self._seed))


def _without_gaps(background: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a background (b, k) with medians for missing values, and which columns have any."""
    filled = background.astype(np.float64)
    finite = np.isfinite(filled)
    usable = np.asarray(finite.any(axis=0))
    for column in np.flatnonzero(usable):
        present = finite[:, column]
        filled[~present, column] = np.median(filled[present, column])
    return filled, usable
