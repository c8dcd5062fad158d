import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from payments import NAMES, payments, quick_settings
from pydantic import ValidationError

from inference.backends.cpu import CpuEngine
from inference.engine.onnx_session import load_session, run_session
from inference.forest import tensor_writer
from inference.training.calibration import CalibrationError
from inference.training.lightgbm_trees import fit_trees, margin
from inference.training.settings import TrainingSettings, TreeSettings
from inference.training.train import train
from inference.training.training_set import TrainingError


def silent(stage: str, share: float) -> None:
    pass


def test_the_same_data_and_seed_give_the_same_package(data, package, tmp_path):
    again = train(data, quick_settings(threads=2), tmp_path, silent)
    assert again.id == package.id
    other = train(data, quick_settings(seed=8), tmp_path, silent)
    assert other.id != package.id


def test_another_process_gives_the_same_package(package, tmp_path):
    """Nothing depends on hash seeds, or on what was trained before in this process."""
    here = Path(__file__).parents[1]
    code = (
        "import sys; from pathlib import Path; from payments import payments, quick_settings; "
        "from inference.training.train import train; "
        "print(train(payments(6_000), quick_settings(), Path(sys.argv[1]), lambda a, b: None).id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=os.environ | {"PYTHONHASHSEED": "99", "PYTHONPATH": f"{here}:{here.parents[1]}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == package.id
    assert done.stderr == ""


def test_the_graph_answers_as_the_trees_do(data, package):
    settings = quick_settings()
    boosters = fit_trees(
        data.matrix, data.labels, settings.trees, seed=settings.seed, threads=1, progress=print
    )
    expected = 1 / (1 + np.exp(-margin(boosters, data.matrix)))
    with CpuEngine(package) as engine:
        np.testing.assert_allclose(engine.infer(data.matrix).score, expected, rtol=2e-6)


def test_without_refit_the_served_trees_never_saw_the_holdout(data, tmp_path):
    package = train(data, quick_settings(refit=False), tmp_path, silent)
    late = int(package.card.metrics["holdout_rows"])
    with CpuEngine(package) as engine:
        probability = engine.infer(data.matrix[-late:]).probability
    # So the thresholds are exact on it.
    for row in package.thresholds.table:
        assert (probability >= row.probability).mean() <= row.alert_rate
    row = package.thresholds.table[-3]
    flagged = probability >= row.probability
    assert row.recall == flagged[data.labels[-late:] == 1].mean()
    assert row.precision == data.labels[-late:][flagged].mean()


def test_bags_are_averaged(data, tmp_path):
    settings = quick_settings(trees=TreeSettings(rounds=10, bags=3))
    package = train(data, settings, tmp_path, silent)
    boosters = fit_trees(
        data.matrix, data.labels, settings.trees, seed=settings.seed, threads=1, progress=print
    )
    assert len({booster.model_to_string() for booster in boosters}) == 3
    expected = 1 / (1 + np.exp(-margin(boosters, data.matrix)))
    with CpuEngine(package) as engine:
        np.testing.assert_allclose(engine.infer(data.matrix).score, expected, rtol=2e-6)


def test_the_card_says_where_the_model_comes_from(data, package):
    card = package.card
    assert card.data.sha256 == data.data_sha256
    assert (card.data.rows, card.data.frauds) == (6000, int(data.labels.sum()))
    assert (card.data.first_time, card.data.last_time) == (data.times[0], data.times[-1])
    assert card.feature_schema_hash == package.features.schema_hash == data.feature_schema_hash
    assert card.parameters["trees"]["rounds"] == 20
    assert set(card.libraries) > {"lightgbm", "onnx"}
    assert 0.65 < card.metrics["roc_auc"] <= 1
    assert card.metrics["anomaly_roc_auc"] > 0.6
    assert card.metrics["holdout_rows"] == pytest.approx(1200, abs=1)


def test_the_model_says_what_it_reads(package):
    model = onnx.load_from_string(package.model)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert model.producer_name == "weir"
    assert properties["feature_names"] == ",".join(NAMES)
    assert {entry.domain: entry.version for entry in model.opset_import} == {
        "": 17,
        "ai.onnx.ml": 3,
    }


def test_both_forms_of_the_graph_answer_alike(data, package):
    """The tensor form has no operator that compiled engines lack; its float32 sums are longer."""
    operators = {node.op_type for node in onnx.load_from_string(package.tensors).graph.node}
    assert "MatMul" in operators
    assert not any("Tree" in operator for operator in operators)
    rows = np.concatenate([data.matrix[:500], np.full((1, 6), np.nan, np.float32)])
    native = run_session(load_session(package.model, "native"), rows)
    tensors = run_session(load_session(package.tensors, "tensors"), rows)
    for one, other in zip(native, tensors, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_trees_too_deep_for_tensors_are_packaged_without_them(data, tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_writer, "_DEEPEST", 1)
    package = train(data, quick_settings(), tmp_path, silent)
    assert package.tensors is None
    assert "levels are too deep for tensor operators" in package.card.tensors_left_out


def test_the_background_is_rows_of_the_training_data(data, package):
    assert package.background.shape == (50, 6)
    known = {row.tobytes() for row in data.matrix}
    assert all(row.tobytes() in known for row in package.background)


def test_what_moves_the_answers_is_important(package):
    """Frauds have nothing to do with the hour, and with how old a device is."""
    importance = package.drift_reference.importance
    assert set(importance) == set(NAMES)
    assert sum(importance.values()) == pytest.approx(1, abs=1e-4)
    assert max(importance["hour"], importance["device_age"]) < importance["amount"]


def test_the_drift_reference_counts_every_row(data, package):
    reference = package.drift_reference
    assert set(reference.features) == set(NAMES)
    assert set(reference.outputs) == {"score", "probability", "anomaly"}
    for j, name in enumerate(NAMES):
        histogram = reference.features[name]
        assert sum(histogram.counts) == len(data.labels)
        assert histogram.counts[0] == histogram.counts[-2] == 0  # nothing outside its own range
        assert histogram.counts[-1] == np.isnan(data.matrix[:, j]).sum()


def test_progress_rises_from_stage_to_stage(data, tmp_path):
    seen = []
    train(data, quick_settings(), tmp_path, lambda stage, share: seen.append((stage, share)))
    shares = [share for _, share in seen]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(shares))
    assert shares[-1] == 1
    assert len({stage for stage, _ in seen}) == 6


def _with(**changes):
    return dataclasses.replace(payments(3_000), **changes)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: _with(labels=np.zeros(3_000, np.int8)), "earlier rows have 0 frauds"),
        (
            lambda: _with(labels=(np.arange(3_000) < 1_000).astype(np.int8)),
            r"600 held-out rows from 2025-06-\d\d on have 0 frauds .* training.holdout_fraction",
        ),
        (
            lambda: _with(labels=(np.arange(3_000) >= 2_000).astype(np.int8)),
            "held-out rows .* 0 legitimate",
        ),
        (lambda: _with(labels=np.full(3_000, np.nan)), "3000 labels are neither 0 nor 1"),
        (lambda: _with(labels=np.full(3_000, 2)), "neither 0 nor 1, the first in row 0"),
        (lambda: _with(labels=np.zeros(9, np.int8)), "3000 rows, 9 labels"),
        (lambda: _with(times=np.arange(3_000)[::-1]), "not in order of time"),
        (lambda: _with(feature_names=("a",) * 6), "different feature names"),
        (lambda: _with(matrix=np.zeros((3_000, 6))), "float64, not float32"),
        (lambda: payments(30), "Train on a longer period"),
        (lambda: payments(0), "0 earlier rows"),
    ],
)
def test_data_that_cannot_train_is_explained(bad, message, tmp_path):
    with pytest.raises(TrainingError, match=message):
        train(bad(), quick_settings(), tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_ranks_the_wrong_way_is_not_packaged(data, tmp_path):
    split = 4_800
    labels = data.labels.copy()
    labels[split:] = (data.matrix[split:, 0] < np.quantile(data.matrix[split:, 0], 0.03)).astype(
        np.int8
    )
    with pytest.raises(CalibrationError, match="learned nothing that lasts"):
        train(dataclasses.replace(data, labels=labels), quick_settings(), tmp_path, silent)


def test_settings_that_contradict_are_refused():
    with pytest.raises(ValidationError, match="must not be above review_alert_rate"):
        TrainingSettings(review_alert_rate=0.01, decline_alert_rate=0.02)
    with pytest.raises(ValidationError, match="would fit the same trees again"):
        TreeSettings(bags=2, feature_fraction=1, bagging_fraction=1)


def test_rows_of_one_moment_are_not_split(tmp_path):
    data = payments(4_000)
    same = data.times.copy()
    same[3_000:3_500] = same[3_000]
    package = train(dataclasses.replace(data, times=same), quick_settings(), tmp_path, silent)
    assert package.card.metrics["holdout_rows"] == 1_000
