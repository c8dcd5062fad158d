"""Which engine is opened, and what is said about it."""

import logging

import numpy as np
import pytest
from pydantic import ValidationError

from inference.backends.selection import open_engine
from inference.backends.tensorrt.driver import NoGpuError
from inference.engine.protocol import BATCH_BUCKETS, EngineError
from inference.engine.settings import EngineSettings


@pytest.fixture
def no_gpu(monkeypatch):
    def probe():
        raise NoGpuError("there is no NVIDIA driver here")

    monkeypatch.setattr("inference.backends.selection.probe", probe)


def test_the_cpu_is_taken_where_it_is_asked_for(package, data, tmp_path, caplog):
    with open_engine(EngineSettings(backend="cpu"), package, None, data_dir=tmp_path) as engine:
        assert engine.info.device == "cpu"
        assert len(engine.infer(data.matrix[:9]).score) == 9
    assert "on the CPU:" not in caplog.text


@pytest.mark.parametrize(
    ("backend", "level"), [("auto", logging.INFO), ("tensorrt", logging.WARNING)]
)
def test_without_a_gpu_the_cpu_answers_and_the_log_says_why(
    no_gpu, package, data, tmp_path, caplog, backend, level
):
    caplog.set_level(logging.INFO)
    names = [*package.features.names, "unused"]
    with open_engine(EngineSettings(backend=backend), package, names, data_dir=tmp_path) as engine:
        assert engine.info.device == "cpu"
        wide = np.pad(data.matrix[:5], ((0, 0), (0, 1)))
        assert len(engine.infer(wide).score) == 5
    (record,) = [r for r in caplog.records if "answers on the CPU" in r.message]
    assert record.levelno == level
    assert "no NVIDIA driver" in record.message


@pytest.mark.parametrize("backend", ["auto", "tensorrt", "tensorrt_rtx"])
def test_without_a_gpu_it_fails_where_the_cpu_is_not_allowed(no_gpu, package, tmp_path, backend):
    settings = EngineSettings(backend=backend, allow_cpu=False)
    with pytest.raises(EngineError, match=f"{backend}.*allow_cpu is off.*no NVIDIA driver"):
        open_engine(settings, package, None, data_dir=tmp_path)


def test_buckets_ascend_from_one():
    assert EngineSettings().buckets == BATCH_BUCKETS
    assert EngineSettings(buckets=(1, 64)).buckets == (1, 64)
    for wrong in ((), (8, 32), (1, 32, 8), (1, 8, 8), (0, 1), (1, 1_000_000)):
        with pytest.raises(ValidationError):
            EngineSettings(buckets=wrong)
