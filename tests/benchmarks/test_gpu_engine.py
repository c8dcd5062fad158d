"""What `gpu_engine.py` does with contenders, on machines with PyTorch and without."""

import sys

import numpy as np
import pytest

from benchmarks.gpu_engine import check, pytorch
from inference.engine.protocol import TOLERANCE, Outputs

ROWS = np.zeros((8, 3), np.float32)


class OfOneNumber:
    """Stands in for an engine, and for a contender."""

    def __init__(self, number):
        self._number = number

    def infer(self, rows):
        return Outputs(*(np.full(len(rows), self._number, np.float32) for _ in Outputs._fields))


def test_a_contender_that_answers_alike_is_measured():
    near = OfOneNumber(0.5 + TOLERANCE["float32"] / 2)
    check("near", near.infer, OfOneNumber(0.5), ROWS, (1, 8))


@pytest.mark.parametrize("number", [0.5 + 2 * TOLERANCE["float32"], np.nan])
def test_a_contender_that_answers_otherwise_is_not_measured(number):
    with pytest.raises(SystemExit, match=r"far is off by .* in a batch of 1: .* compares nothing"):
        check("far", OfOneNumber(number).infer, OfOneNumber(0.5), ROWS, (1, 8))


def test_a_contender_that_is_wrong_at_one_size_only_is_found():
    def answer(rows):
        return OfOneNumber(0.5 if len(rows) == 1 else 0.6).infer(rows)

    with pytest.raises(SystemExit, match="in a batch of 8"):
        check("odd", answer, OfOneNumber(0.5), ROWS, (1, 8))


def test_there_is_no_contender_without_pytorch(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert pytorch(None, on_gpu=False) == {}
    assert "without PyTorch" in capsys.readouterr().err
