"""What an import makes of the data: anomaly levels, scaling, and a score of the wrong class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_models import FLOAT, model, node, save
from payments import NAMES, payments, quick_settings

from inference.backends.cpu import CpuEngine
from inference.importing.build.importer import import_model
from inference.importing.sandbox.options import ImportOptions
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.packages.package import ModelPackage

WEIGHTS = np.array([[0.5], [0.3], [0.1], [0.0], [0.4], [0.0]], np.float32)
"""Of scaled features: amount, hour's count and risk speak for fraud."""

DATA = payments(6_000)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A logistic model of scaled features, with a measure of how usual an event is."""
    nodes = [
        node("MatMul", ["x", "weights"], ["z"]),
        node("Sigmoid", ["z"], ["fraud"]),
        node("Sub", ["one", "fraud"], ["genuine"]),
        node("Mul", ["x", "x"], ["squares"]),
        node("ReduceSum", ["squares", "columns"], ["far"]),
        node("Neg", ["far"], ["usual"]),
    ]
    outputs = ("fraud", "genuine", "usual")
    made = model(
        nodes,
        inputs=[helper.make_tensor_value_info("x", FLOAT, ["n", 6])],
        outputs=[helper.make_tensor_value_info(name, FLOAT, ["n", 1]) for name in outputs],
        constants={"weights": WEIGHTS, "one": np.float32(1), "columns": np.array([1])},
    )
    return save(tmp_path / "usual.onnx", made)


def imported(path: Path, **options: Any) -> ModelPackage:
    asked = ImportOptions(scale="data", impute="median", **options)
    return import_model(
        path,
        DATA,
        settings=quick_settings(),
        options=asked,
        limits=Limits(),
        folder=path.parent,
        progress=lambda step, share: None,
    )


def test_an_anomaly_output_becomes_levels_from_0_to_1(exported):
    package = imported(exported, score="fraud", anomaly="usual", anomaly_low=True)
    late = DATA.matrix[4_800:][DATA.labels[4_800:] == 0]
    far = np.full((1, len(NAMES)), 1e6, np.float32)
    with CpuEngine(package) as engine:
        usual, odd = engine.infer(late).anomaly, engine.infer(far).anomaly
    assert odd[0] == 1
    # Levels are the quantiles of legitimate held-out events.
    assert abs(np.mean(usual > 0.9) - 0.1) < 0.02
    assert abs(np.median(usual) - 0.5) < 0.05
    assert package.card.parameters["import"]["anomaly"] == "usual"


def test_scaling_and_medians_come_from_the_earlier_rows(exported):
    package = imported(exported, score="fraud")
    early = DATA.matrix[:4_800].astype(np.float64)
    mean, scale, median = (f(early, axis=0) for f in (np.nanmean, np.nanstd, np.nanmedian))
    rows = DATA.matrix[4_800:].astype(np.float64)
    filled = np.where(np.isnan(rows), median, rows)
    expected = 1 / (1 + np.exp(-((filled - mean) / scale) @ WEIGHTS[:, 0]))
    with CpuEngine(package) as engine:
        answers = engine.infer(DATA.matrix[4_800:])
    np.testing.assert_allclose(answers.score, expected, atol=1e-5)
    np.testing.assert_array_equal(answers.probability, answers.score)


def test_the_score_of_the_other_class_is_refused(exported):
    with pytest.raises(ImportRefusedError, match="below other events") as refused:
        imported(exported, score="genuine")
    assert refused.value.file == str(exported)
    assert "--fraud-class" in refused.value.fix
