"""``weir models`` against a real registry."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from inference.packages.registry import RegisteredModel, Registry, RegistrySettings
from inference.training.settings import AutoencoderSettings, TrainingSettings, TreeSettings
from inference.training.train import train
from inference.training.training_set import TrainingSet
from weir.cli import console
from weir.config.settings import EXAMPLE_FILE
from weir.main import main


class Stocked(NamedTuple):
    """A data folder whose registry holds one model."""

    folder: Path
    model: RegisteredModel


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(4_000, 3)).astype(np.float32)
    labels = (matrix[:, 0] + rng.normal(size=4_000) > 2.2).astype(np.int8)
    times = 1_750_000_000_000 + 60_000 * np.arange(4_000)
    package = train(
        TrainingSet(matrix, labels, times, ("a", "b", "c"), {}, "0" * 64, "1" * 64),
        TrainingSettings(
            trees=TreeSettings(rounds=5), autoencoder=AutoencoderSettings(epochs=1), threads=1
        ),
        folder / "trained",
        lambda stage, share: None,
    )
    model = Registry(RegistrySettings(), folder).register(package, alias="champion")
    return Stocked(folder, model)


@pytest.fixture
def run(registry, monkeypatch, capsys):
    """Run the front door on the example's settings and that registry: (exit code, out, err)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["weir", "models", *arguments, "-c", str(EXAMPLE_FILE)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    monkeypatch.setenv("WEIR_DATA_DIR", str(registry.folder))
    monkeypatch.setattr(console.stdout, "width", 120)
    return run


def test_list_shows_versions_with_their_aliases(run, registry):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert "champion" in out
    assert registry.model.package_id[:12] in out


def test_list_as_json_can_be_read_by_a_program(run, registry):
    _, out, _ = run("list", "--json")
    (model,) = json.loads(out)["models"]
    assert model["version"] == 1
    assert model["aliases"] == ["champion"]
    assert model["package_id"] == registry.model.package_id


@pytest.mark.parametrize("name", [[], ["champion"], ["1"]])
def test_show_takes_an_alias_or_a_version(run, registry, name):
    code, out, _ = run("show", *name)
    assert code == 0
    assert registry.model.package_id in out
    assert "average_precision" in out
    assert "2025-06-15" in out


def test_show_as_json_holds_the_card(run):
    shown = json.loads(run("show", "--json")[1])
    assert shown["card"]["data"]["rows"] == 4_000
    assert shown["features"]["names"] == ["a", "b", "c"]
    assert shown["thresholds"]["decline"] >= shown["thresholds"]["review"]


def test_a_model_that_is_not_there_is_one_line_and_exit_code_1(run):
    code, out, err = run("show", "canary")
    assert (code, out) == (1, "")
    assert " ".join(err.split()) == ("error: model 'fraud' has no alias 'canary'; it has: champion")


def test_an_empty_registry_says_what_to_do(run, monkeypatch):
    monkeypatch.setenv("WEIR_REGISTRY__MODEL", "another")
    assert "weir train" in run("list")[1]
    assert json.loads(run("list", "--json")[1]) == {"models": []}
    code, _, err = run("show")
    assert code == 1
    assert "no champion yet" in err
