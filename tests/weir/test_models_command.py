"""``weir models`` against a real registry."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from inference.autoencoder import AutoencoderSettings
from inference.boosting import TreeSettings
from inference.registry import Registry, RegistrySettings
from inference.training import TrainingSet, TrainingSettings, train
from weir.commands import models


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
    registry = Registry(RegistrySettings(), folder)
    registry.register(package, alias="champion")
    return registry


@pytest.fixture
def run(registry, monkeypatch):
    monkeypatch.setattr(models, "open_registry", lambda: registry)
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(models.app, list(arguments))


def test_list_shows_versions_with_their_aliases(run, registry):
    result = run("list")
    assert result.exit_code == 0
    assert "champion" in result.output
    assert registry.get(1).package_id[:12] in result.output


def test_list_as_json_can_be_read_by_a_program(run, registry):
    (model,) = json.loads(run("list", "--json").stdout)
    assert model["version"] == 1
    assert model["aliases"] == ["champion"]
    assert model["package_id"] == registry.get(1).package_id


@pytest.mark.parametrize("name", [[], ["champion"], ["1"]])
def test_show_takes_an_alias_or_a_version(run, registry, name):
    result = run("show", *name)
    assert result.exit_code == 0
    assert registry.get(1).package_id in result.output
    assert "average_precision" in result.output
    assert "2025-06-15" in result.output


def test_show_as_json_holds_the_card(run):
    shown = json.loads(run("show", "--json").stdout)
    assert shown["card"]["data"]["rows"] == 4_000
    assert shown["features"]["names"] == ["a", "b", "c"]
    assert shown["thresholds"]["decline"] >= shown["thresholds"]["review"]


def test_a_model_that_is_not_there_is_one_line_and_exit_code_1(run):
    result = run("show", "canary")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "error: model 'fraud' has no alias 'canary'; it has: champion\n"


def test_an_empty_registry_says_what_to_do(run, monkeypatch, tmp_path, registry):
    other = Registry(
        RegistrySettings(tracking_uri=registry._uri, model="another"), tmp_path / "data"
    )
    monkeypatch.setattr(models, "open_registry", lambda: other)
    assert "weir train" in run("list").output
    assert run("list", "--json").stdout.strip() == "[]"
