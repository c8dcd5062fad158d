"""The model's answers to the samples of an event, in log-odds."""

import logging
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from explain.lime import kernels
from explain.lime.perturbation_design import Design
from inference.backends.cpu import CpuEngine
from inference.engine.onnx_session import load_session, run_session
from inference.engine.protocol import Engine, EngineError
from inference.forest.columns import TreeError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.forest import Forest
from inference.forest.graph_forms import margin_given
from inference.packages.package import ModelPackage

logger = logging.getLogger(__name__)

_SAME_SCORE = 1e-5
LEAST_SCORE = 2.0**-24
"""A float32 score can't say whether it is nearer to 0 or 1 than this."""


class Samples(Protocol):
    """Asks the model; any number of threads may."""

    def own(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds (n,) of events (n, k)."""

    def mixed(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds (m,) of the samples of an event (k,)."""


def samples_of(package: ModelPackage, design: Design) -> Samples:
    """Return the fastest way to ask: by the trees where the score is a function of their margin.

    Raises:
        EngineError: the graph does not load.
    """
    try:
        forest = margin_given(package.model)[1].forest
    except TreeError as error:
        logger.info(
            "explaining model %s by its whole graph, which is slower than by its trees: %s",
            package.short_id,
            error,
        )
        return GraphSamples(CpuEngine(package), design)
    trees = TreeSamples(forest, design)
    session = load_session(package.model, f"model {package.short_id}")
    scores = run_session(session, package.background).score
    if np.abs(1 / (1 + np.exp(-trees.own(package.background))) - scores).max() > _SAME_SCORE:
        logger.info(
            "explaining model %s by its whole graph, which is slower than by its trees: its "
            "score depends on more than these",
            package.short_id,
        )
        return GraphSamples(CpuEngine(package), design)
    return trees


class GraphSamples:
    """Asks an engine, one event's samples at a time: so a batch's size changes no bit."""

    def __init__(self, engine: Engine, design: Design) -> None:
        self._engine = engine
        self._design = design

    def own(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `Samples`."""
        return np.concatenate([self._log_odds(row[None]) for row in rows])

    def mixed(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `Samples`."""
        return self._log_odds(self._design.mixed(row))

    def _log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = self._engine.infer(rows).score.astype(np.float64)
        if np.isnan(scores).any():
            raise EngineError("the model has no answer to a sample: its score is no number")
        bounded = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
        return np.asarray(np.log(bounded / (1 - bounded)))


class TreeSamples:
    """Asks the trees alone, 64 samples at once; see `explain.lime.kernels`."""

    def __init__(self, forest: Forest, design: Design) -> None:
        self._forest = CompiledForest(forest)
        self._derive = forest.derive
        self._base = forest.base
        self._missing_left = forest.missing_left
        self._tree = (
            forest.column,
            forest.threshold,
            forest.left,
            forest.right,
            forest.value,
            forest.roots,
        )
        derived = [column.feature for column in forest.derived]
        kept = design.kept_columns[:, [*range(forest.width), *derived]]
        drawn = forest.derive(design.drawn)
        inner = np.flatnonzero(~forest.is_leaf)
        values = drawn[:, forest.column[inner]]
        right = (values > forest.threshold[inner]) | (
            np.isnan(values) & ~forest.missing_left[inner]
        )
        self._kept = _words(kept)
        self._drawn_right = np.zeros((len(forest.column), self._kept.shape[1]), np.uint64)
        self._drawn_right[inner] = _words(right & ~kept[:, forest.column[inner]])
        self._largest = int(np.diff(forest.roots, append=len(forest.column)).max())

    def own(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `Samples`."""
        return self._forest(np.ascontiguousarray(rows))

    def mixed(self, row: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `Samples`."""
        words = self._kept.shape[1]
        margins = np.empty(words * kernels.WORD)
        reach = np.empty((self._largest, words), np.uint64)
        kernels.mixed_margins(
            self._derive(np.ascontiguousarray(row[None]))[0],
            self._tree,
            self._missing_left,
            self._drawn_right,
            self._kept,
            self._base,
            reach,
            margins,
        )
        return margins


def _words(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack columns of m bits (m, c) into words (c, m / 64)."""
    packed = np.packbits(bits.T, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)
