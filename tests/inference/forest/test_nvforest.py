"""The trees in nvForest: a route that is asked for, and taken only where it is fastest.

Its answers are in test_forest_forms.py and test_engine_conformance.py, where it is installed.
"""

import logging
import sys

import numpy as np
import pytest

from inference.backends import cpu as cpu_engine
from inference.backends.cpu import COMPILED_TREES, WHOLE_GRAPH, CpuEngine
from inference.backends.selection import open_engine
from inference.engine.protocol import BATCH_BUCKETS
from inference.engine.settings import EngineSettings
from inference.forest.columns import TreeError

ON_CPU = "nvForest on the CPU, then onnxruntime"


class ReadyForest:
    """Stands for nvForest where it is not installed: compiled trees under its name."""

    device = "cpu"

    def __init__(self, forest):
        self._margins = cpu_engine.CompiledForest(forest)

    def __call__(self, rows):
        return self._margins(rows)


@pytest.fixture
def ready(monkeypatch):
    monkeypatch.setattr(cpu_engine, "NvForest", ReadyForest)


def test_the_settings_ask_for_it(package, ready, tmp_path):
    for asked in (True, False):
        settings = EngineSettings(backend="cpu", nvforest=asked)
        with open_engine(settings, package, None, data_dir=tmp_path) as engine:
            assert (ON_CPU in engine._routes) is asked


def test_every_batch_size_is_measured_and_it_is_taken_where_it_wins(
    package, data, ready, monkeypatch
):
    measured = []

    def times(engine, size):
        measured.append(size)
        wins = {ON_CPU: 0.5} if size == BATCH_BUCKETS[-1] else {}
        return dict.fromkeys(engine._routes, 2.0) | {COMPILED_TREES: 1.0} | wins

    monkeypatch.setattr(CpuEngine, "_measured", times)
    with CpuEngine(package, nvforest=True) as engine:
        engine.warm_up()
        assert measured == list(BATCH_BUCKETS)
        assert engine.info.routes == (*(COMPILED_TREES,) * (len(BATCH_BUCKETS) - 1), ON_CPU)
        rows = np.resize(data.matrix, (BATCH_BUCKETS[-1], data.matrix.shape[1]))
        for values, right in zip(
            engine.infer(rows), engine._routes[WHOLE_GRAPH](rows), strict=True
        ):
            np.testing.assert_allclose(values, right, atol=1e-6)


def test_one_that_is_off_is_not_taken(package, monkeypatch, caplog):
    class Off(ReadyForest):
        def __call__(self, rows):
            return super().__call__(rows) + 0.1

    monkeypatch.setattr(cpu_engine, "NvForest", Off)
    with CpuEngine(package, nvforest=True) as engine:
        engine.warm_up()
        assert f"not using {ON_CPU}, whose scores differ" in caplog.text
        assert ON_CPU not in engine.info.routes


def test_without_the_library_the_log_names_the_extra_and_the_others_answer(
    package, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "nvforest", None)
    with caplog.at_level(logging.WARNING), CpuEngine(package, nvforest=True) as engine:
        engine.warm_up()
        assert "pip install 'weir[nvforest]'" in caplog.text
        assert set(engine.info.routes) <= {WHOLE_GRAPH, COMPILED_TREES}


def test_a_forest_that_it_refuses_is_answered_by_the_others(package, monkeypatch, caplog):
    def refuse(forest):
        raise TreeError("nvForest does not take these trees: too deep")

    monkeypatch.setattr(cpu_engine, "NvForest", refuse)
    with CpuEngine(package, nvforest=True) as engine:
        engine.warm_up()
    assert "nvForest can't load its trees" in caplog.text
    assert "too deep" in caplog.text
