"""``weir models import`` on an exported model and a file of labelled events."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from front_door import write_events, write_settings

from inference.packages.package import ModelPackage
from weir.cli import console
from weir.main import main

MODELS = Path(__file__).parents[2] / "data" / "models"
FEATURES = (
    "amount,customer_count_1d,customer_amount_mean_1d,hour,terminal_frauds_30d,"
    "customer_seconds_since_last"
)
"""Of the example's 17, six that stand for those of the exported models."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with settings and a file of events."""
    folder = tmp_path_factory.mktemp("import")
    write_events(folder / "history.parquet")
    write_settings(folder / "weir.toml")
    return folder


@pytest.fixture
def run(world, monkeypatch, capsys):
    """Run the front door in that folder: (exit code, out, err)."""

    def run(command, *arguments):
        argv = ["weir", "models", command, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, " ".join(captured.err.split())

    monkeypatch.chdir(world)
    monkeypatch.setattr(console.stdout, "width", 120)
    return run


def test_the_first_exported_model_is_champion_and_the_next_a_candidate(run, world):
    model = MODELS / "xgboost.onnx"
    options = ("--features", FEATURES, "--data", "history.parquet", "--calibrate", "--json")
    code, out, err = run("import", model, *options)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["version"], told["aliases"]) == (1, ["champion"])
    assert told["source"]["file"] == "xgboost.onnx"
    assert told["features"] == FEATURES.split(",")
    assert "golden batch" in told["source"]["checks"]
    package = ModelPackage.load(world / "data" / "packages" / told["package_id"][:12])
    assert package.id == told["package_id"]
    assert json.loads(run("list", "--json")[1])["models"][0]["package_id"] == package.id
    shown = run("show", "1")[1]
    assert "xgboost.onnx" in shown
    assert "OnnxMLTools" in shown
    code, out, _ = run("import", model, *options[:4], "--alias", "shadow-x", "--no-progress")
    assert code == 0
    assert "version 2 as shadow-x\n" in out
    assert "column 1, probability" in out
    assert "a candidate: `weir models promote 2` makes it champion" in out
    assert json.loads(run("show", "--json")[1])["version"] == 1


def test_a_dry_run_only_checks(run, world):
    code, out, _ = run(
        "import", MODELS / "xgboost.onnx", "--features", FEATURES, "--dry-run", "--no-progress"
    )
    assert code == 0
    assert "nothing was registered" in out
    assert "missing values" in out
    assert json.loads(
        run("import", MODELS / "jax.onnx", "--features", FEATURES, "--dry-run", "--json")[1]
    )["features"] == FEATURES.split(",")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("xgboost.onnx", "--dry-run"), "takes 6 columns, and [features] declare 17: amount"),
        (("torch_dynamo.onnx", "--dry-run", "--features", FEATURES), "--score-kind logit"),
        (("make.py", "--dry-run"), "make.py: no ONNX file"),
        (("xgboost.onnx",), "--data FILE"),
        (("xgboost.onnx", "--dry-run", "--alias", "champion"), "--promote makes the new model"),
        (("xgboost.onnx", "--dry-run", "--impute", "mean"), "--impute takes median or a number"),
        (("xgboost.onnx", "--dry-run", "--impute", "1e39"), "--impute takes median or a number"),
        (("xgboost.onnx", "--dry-run", "--impute", "nan"), "--impute takes median or a number"),
        (("xgboost.onnx", "--dry-run", "--scale", "data"), "--scale data: it needs data"),
        (("xgboost.onnx", "--dry-run", "--scale", "absent.json"), "absent.json: it cannot be read"),
    ],
)
def test_a_refusal_is_one_message_and_exit_code_2(run, arguments, said):
    file, *options = arguments
    code, out, err = run("import", MODELS / file, *options, "--no-progress")
    assert (code, out) == (2, "")
    # A box is drawn around what the command line itself refuses.
    assert said.replace(" ", "") in err.replace(" ", "").replace("│", "")


def test_modules_beside_a_model_never_run(world, tmp_path):
    """They stand for those of whoever handed over the model as a folder."""
    for name in ("resource", "json", "numpy", "onnx", "inference", "streams", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('PWNED', 'a').write(__name__)")
    shutil.copy(MODELS / "xgboost.onnx", tmp_path)
    environment = os.environ | {"WEIR_CONFIG": str(world / "weir.toml")}
    environment["WEIR_KAFKA__SASL_PASSWORD"] = "hunter2"
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "weir", "models", "import", "xgboost.onnx"),
            *("--features", FEATURES, "--dry-run", "--no-progress"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "PWNED").exists()
