"""Packages of imported models answer as the frameworks that exported the models do."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from payments import NAMES, payments, quick_settings

from inference.backends.cpu import CpuEngine
from inference.engine.onnx_session import load_session, run_session
from inference.forest.graph_forms import tensor_form
from inference.importing.build.finishing import finish_graph, margins
from inference.importing.build.importer import import_model
from inference.importing.sandbox.inspection import Request, inspect
from inference.importing.sandbox.options import ImportOptions
from inference.importing.sandbox.plain_operators import with_plain_operators
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.packages.package import ModelPackage
from inference.training.autoencoder import Autoencoder, fit_autoencoder
from inference.training.calibration import PlattScaling, sigmoid
from inference.training.settings import AutoencoderSettings

MODELS = Path(__file__).parents[2] / "data" / "models"
FRAMEWORKS = (
    "torch_script",
    "torch_fixed_batch",
    "torch_dynamo",
    "keras",
    "sklearn_logistic",
    "sklearn_words",
    "sklearn_forest",
    "sklearn_boosting",
    "sklearn_columns",
    "lightgbm",
    "xgboost",
    "jax",
)


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(MODELS / f"{name}.npz") as file:
        return dict(file)


def asked(name: str) -> Request:
    """What has to be said of a model: nothing, unless it wants scaled features."""
    if name != "torch_dynamo":
        return Request(NAMES)
    own = golden(name)
    scaling = {key: tuple(map(float, own[key])) for key in ("mean", "scale")}
    return Request(NAMES, score="logit", kind="logit", **scaling)


@pytest.fixture(scope="module")
def autoencoders() -> dict[int, Autoencoder]:
    """An anomaly model for each number of columns."""
    matrix = payments(400).matrix
    settings = AutoencoderSettings(epochs=1, hidden=4, bottleneck=2)
    return {
        width: fit_autoencoder(
            matrix[:300, :width], matrix[300:, :width], settings, np.random.default_rng(0)
        )
        for width in (3, 6)
    }


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_package_answers_as_the_framework_does(name: str, autoencoders: Any) -> None:
    core, found = inspect(MODELS / f"{name}.onnx", asked(name))
    columns = [NAMES.index(feature) for feature in found.features]
    calibration = PlattScaling(0.7, -0.4)
    model = finish_graph(
        core.SerializeToString(), found.kind, calibration, autoencoders[len(columns)], {}
    )
    own = golden(name)
    rows = np.ascontiguousarray(own["features"][:, columns])
    answers = run_session(load_session(model, name), rows)
    np.testing.assert_allclose(answers.score, own["probability"], atol=1e-5)
    calibrated = sigmoid(0.7 * margins(own["probability"], "probability") - 0.4)
    # The framework's own probabilities, rounded to 1, know less of log-odds than the model.
    inner = np.abs(own["probability"] - 0.5) < 0.4999
    np.testing.assert_allclose(answers.probability[inner], calibrated[inner], atol=1e-5)
    assert ((answers.anomaly >= 0) & (answers.anomaly <= 1)).all()
    plain = with_plain_operators(tensor_form(model))
    assert {node.domain for node in onnx.load_from_string(plain).graph.node} == {""}
    for one, other in zip(run_session(load_session(plain, name), rows), answers, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "missing"), [("lightgbm", True), ("xgboost", True), ("keras", False), ("jax", False)]
)
def test_whether_missing_values_have_an_answer_is_found_out(name: str, missing: bool) -> None:
    assert inspect(MODELS / f"{name}.onnx", asked(name))[1].missing is missing


def test_stack_traces_of_the_exporter_stay_out() -> None:
    assert b"site-packages" in (MODELS / "torch_dynamo.onnx").read_bytes()
    core, _ = inspect(MODELS / "torch_dynamo.onnx", asked("torch_dynamo"))
    assert b"site-packages" not in core.SerializeToString()


def test_a_fixed_batch_is_freed() -> None:
    core, found = inspect(MODELS / "torch_fixed_batch.onnx", Request(NAMES))
    assert core.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert "was fixed at 1" in dict(found.checks)["batch"]


def test_inputs_by_name_choose_their_columns() -> None:
    found = inspect(MODELS / "sklearn_columns.onnx", Request(NAMES))[1]
    assert found.features == ("risk_30d", "amount", "count_1d")


def test_words_for_classes_tell_which_is_fraud() -> None:
    found = inspect(MODELS / "sklearn_words.onnx", Request(NAMES))[1]
    assert dict(found.checks)["score"] == "output_probability, column 0, probability"


def test_log_odds_have_to_be_named_as_such() -> None:
    with pytest.raises(ImportRefusedError) as refused:
        inspect(MODELS / "torch_dynamo.onnx", Request(NAMES))
    assert "output 'logit'" in str(refused.value)
    assert "--score-kind logit" in refused.value.fix


def test_constants_that_keras_leaves_as_inputs_are_explained() -> None:
    with pytest.raises(ImportRefusedError, match="Normalization") as refused:
        inspect(MODELS / "keras_normalization.onnx", Request(NAMES))
    assert "normalization_1/Sub/y:0" in refused.value.place


def imported(folder: Path, name: str, **options: Any) -> ModelPackage:
    return import_model(
        MODELS / f"{name}.onnx",
        payments(6_000),
        settings=quick_settings(),
        options=ImportOptions(**options),
        limits=Limits(),
        folder=folder,
        progress=lambda step, share: None,
    )


@pytest.fixture(scope="module")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return imported(tmp_path_factory.mktemp("boosted"), "lightgbm", calibrate=True)


def test_an_imported_package_has_every_yardstick(boosted: ModelPackage) -> None:
    assert ModelPackage.load(boosted.folder, boosted.id).id == boosted.id
    assert boosted.features.names == NAMES
    assert set(boosted.drift_reference.features) == set(NAMES)
    assert boosted.background.shape == (50, len(NAMES))
    assert boosted.thresholds.rows == 1_200
    assert boosted.card.metrics["roc_auc"] > 0.6
    assert boosted.card.data.rows == 6_000
    assert boosted.card.tensors_left_out is None
    assert boosted.tensors is not None


def test_the_card_says_where_an_imported_model_is_from(boosted: ModelPackage) -> None:
    source = boosted.card.source
    assert source is not None
    assert (source.file, source.score_kind) == ("lightgbm.onnx", "probability")
    assert source.producer.startswith("OnnxMLTools")
    assert source.opset == {"ai.onnx": 9, "ai.onnx.ml": 1}
    assert "golden batch" in dict(source.checks)


def test_an_imported_model_keeps_its_score_and_gets_a_calibrated_probability(
    boosted: ModelPackage,
) -> None:
    own = golden("lightgbm")
    with CpuEngine(boosted) as engine:
        answers = engine.infer(own["features"])
    np.testing.assert_allclose(answers.score, own["probability"], atol=1e-5)
    order = np.argsort(answers.score, kind="stable")
    assert (np.diff(answers.probability[order]) >= 0).all()
    assert not np.allclose(answers.probability, answers.score)
    assert boosted.card.metrics["log_loss"] < boosted.card.metrics["log_loss_uncalibrated"]


def test_a_model_without_missing_values_and_unscaled_is_given_both(tmp_path: Path) -> None:
    own = golden("torch_dynamo")
    scaling = tmp_path / "scaling.json"
    pairs = zip(NAMES, own["mean"].tolist(), own["scale"].tolist(), strict=True)
    scaling.write_text(
        "{" + ", ".join(f'"{name}": [{mean}, {scale}]' for name, mean, scale in pairs) + "}"
    )
    options = {"score": "logit", "kind": "logit", "scale": str(scaling)}
    with pytest.raises(ImportRefusedError, match="missing features") as refused:
        imported(tmp_path, "torch_dynamo", **options)
    assert "--impute" in refused.value.fix
    package = imported(tmp_path, "torch_dynamo", **options, impute="median")
    rows = own["features"].copy()
    with CpuEngine(package) as engine:
        whole = engine.infer(rows)
        rows[:, 5] = np.nan
        holed = engine.infer(rows)
    np.testing.assert_allclose(whole.score, own["probability"], atol=1e-5)
    assert np.isfinite(holed.score).all()
    assert package.card.parameters["import"]["impute"] == "median"
