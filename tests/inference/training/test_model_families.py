"""Each family of fraud models becomes a package like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import xgboost
from payments import payments, quick_settings
from pydantic import ValidationError

from inference.backends.cpu import CpuEngine
from inference.evaluation.metrics import average_precision
from inference.forest.columns import TreeError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.xgboost_reader import read_xgboost
from inference.training.dense import DenseModel, fit_dense
from inference.training.fraud_model import XGBoostModel, fit_fraud_model
from inference.training.settings import DenseSettings, TrainingSettings, XGBoostSettings
from inference.training.train import train

DENSE = ("logistic", "mlp")
FAMILIES = (*DENSE, "xgboost")
DATA = payments(8_000)


def settings_of(family: str, epochs: int = 20) -> TrainingSettings:
    few = XGBoostSettings(rounds=20)
    return quick_settings(family=family, xgboost=few, dense=DenseSettings(epochs=epochs))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_answers_as_the_model_does(family: str, tmp_path: Path) -> None:
    settings = settings_of(family)
    package = train(DATA, settings, tmp_path, lambda *_: None)
    fitted = fit_fraud_model(DATA.matrix, DATA.labels, settings, None, lambda _: None)
    rows = np.concatenate([DATA.matrix[:700], np.full((1, 6), np.nan, np.float32)])
    rows[0, 0] = 1e30
    expected = 1 / (1 + np.exp(-fitted.margin(rows)))
    with CpuEngine(package) as engine:
        np.testing.assert_allclose(engine.infer(rows).score, expected, rtol=2e-5)
    assert package.card.parameters["family"] == family
    assert package.card.metrics["roc_auc"] > 0.55
    operators = {node.op_type for node in onnx.load_from_string(package.model).graph.node}
    assert any("Tree" in each for each in operators) == (family == "xgboost")
    assert package.tensors is not None
    again = train(DATA, settings, tmp_path, lambda *_: None)
    assert again.id == package.id
    shares = package.drift_reference.importance
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert shares["amount_7d"] + shares["count_1d"] > shares["hour"]


def test_a_feature_counts_for_what_it_moves_and_missing_says_something() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(20_000, 3)).astype(np.float32)
    rows[rng.random(20_000) < 0.3, 1] = np.nan
    margin = -2 + 1.5 * rows[:, 0] + np.where(np.isnan(rows[:, 1]), 2.0, 0.0)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    data = replace(DATA, matrix=rows, labels=labels)
    found = fit(data.matrix, labels)
    np.testing.assert_allclose(found.margin(rows), margin, atol=0.3)
    first, second, third = found.importance(rows)
    assert first > second > third
    heavy = quick_settings(family="logistic", class_weight=5.0)
    often = fit_fraud_model(data.matrix, labels, heavy, None, lambda _: None)
    np.testing.assert_allclose(often.margin(rows), margin + np.log(5), atol=0.4)


def fit(rows: np.ndarray, labels: np.ndarray) -> DenseModel:
    return fit_dense(
        rows, labels, DenseSettings(), (), seed=1, weights=None, progress=lambda _: None
    )


@pytest.mark.parametrize("family", ["lightgbm", *FAMILIES])
def test_weighed_classes_move_the_score_and_not_the_probability(
    family: str, tmp_path: Path
) -> None:
    settings = settings_of(family).model_copy(update={"class_weight": "balanced"})
    package = train(DATA, settings, tmp_path, lambda *_: None)
    figures = package.card.metrics
    assert figures["calibration_error_uncalibrated"] > 0.15
    assert figures["calibration_error"] < 0.02
    assert package.card.parameters["class_weight"] == "balanced"
    # As heavy as they are rare, and no more.
    frauds = int((DATA.labels == 1).sum())
    ratio = (len(DATA.labels) - frauds) / frauds
    by_ratio, balanced = (
        fit_fraud_model(
            DATA.matrix,
            DATA.labels,
            settings.model_copy(update={"class_weight": weight}),
            None,
            lambda _: None,
        ).margin(DATA.matrix[:100])
        for weight in (ratio, "balanced")
    )
    np.testing.assert_array_equal(by_ratio, balanced)


def test_a_network_learns_what_no_line_can() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(8_000, 2)).astype(np.float32)
    labels = (rows[:, 0] * rows[:, 1] > 1).astype(np.int8)
    figures = {}
    for family in DENSE:
        fitted = fit_fraud_model(rows, labels, settings_of(family, 20), None, lambda _: None)
        figures[family] = average_precision(labels, fitted.margin(rows))
    assert figures["mlp"] > 0.9 > 0.4 > figures["logistic"]


def test_rows_on_a_threshold_go_the_way_of_xgboost() -> None:
    rows = np.repeat(np.arange(8, dtype=np.float32), 500)[:, None]
    labels = (np.random.default_rng(1).random(4_000) < rows[:, 0] / 8).astype(np.int8)
    settings = quick_settings(family="xgboost", xgboost=XGBoostSettings(rounds=5, max_depth=3))
    fitted = fit_fraud_model(rows, labels, settings, None, lambda _: None)
    assert isinstance(fitted, XGBoostModel)
    forest = read_xgboost(bytes(fitted.booster.save_raw("json")))
    tried = np.array([*np.arange(8), np.nan, -np.inf, np.inf], np.float32)[:, None]
    tried = np.vstack([tried, np.nextafter(tried, np.float32(-np.inf))])
    np.testing.assert_allclose(CompiledForest(forest)(tried), fitted.margin(tried), atol=1e-5)


def test_other_boosters_are_refused() -> None:
    rows = xgboost.DMatrix(DATA.matrix, DATA.labels)
    for parameters, why in (
        ({"objective": "reg:squarederror"}, "train with binary:logistic"),
        ({"objective": "binary:logistic", "gamma": 1e9}, "nothing to split on"),
    ):
        booster = xgboost.train(parameters, rows, 2)
        with pytest.raises(TreeError, match=why):
            read_xgboost(bytes(booster.save_raw("json")))


def test_settings_that_make_no_network_are_refused() -> None:
    for wrong in ({"hidden": ()}, {"hidden": (8, 0)}):
        with pytest.raises(ValidationError, match="hidden"):
            DenseSettings(**wrong)
