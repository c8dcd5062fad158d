"""The CPU's engine: for each batch size the fastest of the routes that give the same answers."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.engine.onnx_session import BoundSession, RunSwitch, load_session
from inference.engine.protocol import (
    BATCH_BUCKETS,
    TOLERANCE,
    EngineError,
    EngineInfo,
    FeatureSelection,
    Outputs,
)
from inference.forest.columns import TreeError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.forest import Forest
from inference.forest.graph_forms import margin_given
from inference.forest.nvforest import NvForest
from inference.packages.package import ModelPackage
from streams.base.closing import ClosedAtEnd

logger = logging.getLogger(__name__)

Route = Callable[[NDArray[np.float32]], Outputs]
"""From float32 rows (n, k) in the model's columns to their answers."""

WHOLE_GRAPH = "onnxruntime"
COMPILED_TREES = "compiled trees, then onnxruntime"

_MOST = BATCH_BUCKETS[-1]
_SECONDS_A_BUCKET = 0.008
_ROUNDS = 2
_LARGEST_MEASURED = 512
"""Rows from which a CPU route's time only grows with the rows: larger batches take its choice."""


class CpuEngine(ClosedAtEnd):
    """An `inference.engine.protocol.Engine` on one thread of the CPU.

    Routes:

    * the whole graph in ONNX Runtime: for any graph;
    * the trees compiled (`inference.forest.compiled_forest.CompiledForest`), and the rest of the
      graph in ONNX Runtime, which gets their margin: for a graph with one tree ensemble on the
      raw features;
    * these trees in nvForest, on a GPU where there is one, if asked for.

    All give the same bits, but where the order of adding leaves differs: docs/models.md. `warm_up`
    measures them on the package's background rows; before it, the whole graph answers.

    Args:
        package: the model, or the folder of its package.
        feature_names: names of the columns of the matrices that `infer` will get; ``None`` means
            exactly the columns that the package reads.
        nvforest: measure nvForest, too.
        switch: ends what it answers, from another thread.

    Raises:
        EngineError: the graph does not load, or reads a feature that is not among the names.
        PackageError: the folder holds no sound package.
    """

    def __init__(
        self,
        package: ModelPackage | Path,
        feature_names: Sequence[str] | None = None,
        *,
        nvforest: bool = False,
        switch: RunSwitch | None = None,
    ) -> None:
        if isinstance(package, Path):
            package = ModelPackage.load(package)
        self._name = package.short_id
        self._background = package.background
        self._select = FeatureSelection(package.features.names, feature_names)
        self._forest: CompiledForest | None = None
        self._routes: dict[str, Route] = {WHOLE_GRAPH: _whole_graph(package, switch)}
        self._largest_measured = _LARGEST_MEASURED
        self._add_tree_routes(package, nvforest, switch)
        # The routes of the buckets; replaced as a whole, never changed, and None once closed.
        self._chosen: tuple[Route, ...] | None = (self._routes[WHOLE_GRAPH],) * len(BATCH_BUCKETS)
        routes = (WHOLE_GRAPH,) * len(BATCH_BUCKETS)
        self._info = EngineInfo("cpu", "cpu", "float32", self._select.width, routes=routes)

    @property
    def info(self) -> EngineInfo:
        """What it is and offers; `warm_up` chooses the routes anew."""
        return self._info

    def warm_up(self) -> None:
        """Answer batches by every route, and keep to the fastest for each bucket."""
        if self._chosen is None:
            raise EngineError("the engine is closed")
        if self._forest is not None:
            self._forest.warm_up()
            self._drop_what_differs()
        names = self._fastest()
        self._chosen = tuple(self._routes[name] for name in names)
        self._info = replace(self._info, routes=names)
        spans = ", ".join(
            f"{size}: {name}" for size, name in zip(BATCH_BUCKETS, names, strict=True)
        )
        logger.info("model %s: fastest by rows in a batch: %s", self._name, spans)

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        """Score the rows of a (n, width) matrix; see `inference.engine.protocol.Engine.infer`."""
        chosen = self._chosen  # they live on while we use them, if `close` comes between
        if chosen is None:
            raise EngineError("the engine is closed")
        features = self._select(matrix)
        n = len(features)
        if n <= _MOST:
            return chosen[bisect_left(BATCH_BUCKETS, n)](features)
        outputs = Outputs(*(np.empty(n, np.float32) for _ in Outputs._fields))
        for start in range(0, n, _MOST):
            part = features[start : start + _MOST]
            answers = chosen[bisect_left(BATCH_BUCKETS, len(part))](part)
            for whole, values in zip(outputs, answers, strict=True):
                whole[start : start + _MOST] = values
        return outputs

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._chosen = None
        self._routes = {}
        self._forest = None

    def _add_tree_routes(
        self, package: ModelPackage, nvforest: bool, switch: RunSwitch | None
    ) -> None:
        try:
            rest_of_graph, trees = _without_trees(package, switch)
        except (TreeError, EngineError) as error:
            level = logging.WARNING if nvforest else logging.INFO
            logger.log(level, "model %s: its trees are not compiled: %s", self._name, error)
            return
        self._forest = CompiledForest(trees)
        self._routes[COMPILED_TREES] = _by_margin(self._forest, rest_of_graph)
        if not nvforest:
            return
        try:
            forest = NvForest(trees)
        except TreeError as error:
            logger.warning(
                "model %s: nvForest can't load its trees, going on without nvForest: %s",
                self._name,
                error,
            )
            return
        name = f"nvForest on the {forest.device.upper()}, then onnxruntime"
        self._routes[name] = _by_margin(forest, rest_of_graph)
        # A GPU is dear by the call: it may win at the largest batches only.
        self._largest_measured = _MOST

    def _drop_what_differs(self) -> None:
        """Keep to the whole graph where another route does not give its answers."""
        expected = self._routes[WHOLE_GRAPH](self._background)
        for name, route in list(self._routes.items())[1:]:
            pairs = zip(route(self._background), expected, strict=True)
            worst = max(float(np.abs(values - right).max()) for values, right in pairs)
            if not worst <= TOLERANCE["float32"]:  # also where it is no number
                logger.warning(
                    "model %s: not using %s, whose scores differ from the whole graph's by up to "
                    "%g on the background rows",
                    self._name,
                    name,
                    worst,
                )
                del self._routes[name]

    def _fastest(self) -> tuple[str, ...]:
        """Return the route with the shortest time for each bucket; large ones are not measured."""
        names: list[str] = []
        for size in BATCH_BUCKETS:
            if size <= self._largest_measured and len(self._routes) > 1:
                times = self._measured(size)
                names.append(min(times, key=times.__getitem__))
            else:
                names.append(names[-1] if names else WHOLE_GRAPH)
        return tuple(names)

    def _measured(self, size: int) -> dict[str, float]:
        """Return the least time of each route for a batch, of as many as time allows."""
        rows = np.resize(self._background, (size, self._background.shape[1]))
        best = dict.fromkeys(self._routes, np.inf)
        deadline = perf_counter() + _SECONDS_A_BUCKET
        rounds = 0
        while rounds < _ROUNDS or perf_counter() < deadline:
            for name, route in self._routes.items():
                start = perf_counter()
                route(rows)
                best[name] = min(best[name], perf_counter() - start)
            rounds += 1
        return best


def _whole_graph(package: ModelPackage, switch: RunSwitch | None) -> Route:
    name = f"model package {package.short_id} ({package.folder})"
    return BoundSession(load_session(package.model, name), "features", switch=switch)


def _by_margin(forest: CompiledForest | NvForest, rest_of_graph: BoundSession) -> Route:
    return lambda rows: rest_of_graph(rows, forest(rows)[:, None])


def _without_trees(package: ModelPackage, switch: RunSwitch | None) -> tuple[BoundSession, Forest]:
    """Return what answers from the rows and their margins (n, 1), and the trees that give these.

    Raises:
        TreeError: the graph has no trees that read the raw features, or they cannot be read.
        EngineError: the graph does not load without them.
    """
    rest, trees, name = margin_given(package.model)
    session = load_session(rest, f"model package {package.short_id} without its trees")
    return BoundSession(session, "features", name, switch=switch), trees.forest
