"""Where the settings name keys, a running scorer obeys nobody else; on the real broker."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from front_door import QUICK_TRAINING, write_events, write_settings
from running_scorer import Scorer

from inference.control.commands import POLICY_KEY
from inference.packages.package import write_package
from inference.packages.registry import Registry
from streams.base.signing_settings import Deed
from streams.files.event_file import open_events
from streams.kafka.records.control_topic import write_control
from streams.kafka.topics.weir_topics import ROLES
from weir.config.errors import SettingsError
from weir.config.settings import Settings, load_settings
from weir.training.registering import train_and_register

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(kafka: str, tmp_path: Path, run: Run) -> Path:
    """Settings that trust Ada's key, and a registry with one model."""
    assert run("keys", "make", tmp_path / "ada.pem")[0] == 0
    name = uuid.uuid4().hex[:8]
    config = write_settings(
        tmp_path / "weir.toml",
        training=QUICK_TRAINING,
        kafka={"bootstrap_servers": kafka},
        topics={"partitions": 2} | {role: f"{role}-{name}" for role in ROLES},
        loop={"group": f"scorer-{name}", "session_timeout": "6s"},
        metrics={"port": 0},
        signing={"trusted_keys": {"ada": str(tmp_path / "ada.pem.pub")}},
    )
    signing = {"key_file": str(tmp_path / "ada.pem")}
    settings = load_settings(config, signing=signing)
    file = open_events(write_events(tmp_path / "e.parquet"), settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    with pytest.raises(SettingsError, match="no scorer would take this model"):
        train_and_register(load_settings(config), file, None, None)
    return config


def forge(settings: Settings) -> None:
    """Register a model as somebody would who can write to MLflow and has no key."""
    package = Registry(settings.registry, settings.data_dir).resolve(1)
    forged = write_package(
        settings.data_dir / "forged",
        card=package.card.model_copy(update={"seed": 666}),
        model=package.model,
        tensors=package.tensors,
        features=package.features,
        thresholds=package.thresholds,
        drift_reference=package.drift_reference,
        background=package.background,
    )
    Registry(settings.registry, settings.data_dir).register(forged)


def test_a_scorer_obeys_only_the_keys_that_it_trusts(
    config: Path,
    tmp_path: Path,
    start: Callable[..., Scorer],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings(config)
    scorer = start(config)
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)
    assert "names nobody" not in scorer.log

    forged = {
        "policy": {"version": "9", "fallback": "approve", "deadline": "1ms"},
        "by": "ada",
        "note": "by the board",
        "at": 1,
    }
    write_control(settings.kafka, settings.topics.control, POLICY_KEY, json.dumps(forged).encode())
    scorer.wait_for(lambda: scorer.metrics().get("weir_model_changes_total:refused") == 1)
    assert "is not signed" in scorer.log

    set_policy = ("policy", "set", "review_alert_rate=0.2", "-c", config)
    code, _, err = run(*set_policy, "--version", "2")
    assert code == 2
    assert "signing.key_file is empty" in err
    monkeypatch.setenv("WEIR_SIGNING__KEY_FILE", str(tmp_path / "ada.pem"))
    code, _, err = run(*set_policy, "--version", "2", "--by", "bob")
    assert code == 2
    assert "this key is 'ada'" in err
    code, _, err = run("policy", "set", "deadline=1ms", "--version", "2", "-c", config)
    assert code == 1
    assert "policy_floor.min_deadline" in err
    code, out, err = run(*set_policy, "--version", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["policy"]["by"] == "ada"
    assert [each["policy"] for each in json.loads(out)["scorers"].values()] == ["2"]

    forge(settings)
    code, _, err = run("models", "promote", "2", "-c", config)
    assert code == 1
    assert "is not signed" in err

    monkeypatch.setenv("WEIR_SIGNING__KEY_FILE", str(tmp_path / "eve.pem"))
    assert run("keys", "make", tmp_path / "eve.pem")[0] == 0
    code, _, err = run(*set_policy, "--version", "3")
    assert code == 2
    assert "none of signing.trusted_keys" in err
    monkeypatch.delenv("WEIR_SIGNING__KEY_FILE")
    shown = json.loads(run("models", "serving", "-c", config, "--json")[1])
    assert shown["policy"]["policy"]["version"] == "2"
    assert scorer.end() == 0

    again = start(config)
    again.wait_for(lambda: again.metrics().get("weir_ready") == 1)
    (report,) = json.loads(run("models", "serving", "-c", config, "--json")[1])["scorers"].values()
    assert report["policy"] == "2", "a start obeys what was signed, too"
    assert again.end() == 0


def test_keys_are_made_once_and_listed(tmp_path: Path, config: Path, run: Run) -> None:
    code, _, err = run("keys", "make", tmp_path / "ada.pem")
    assert code == 2
    assert "is there already" in err
    listed = json.loads(run("keys", "list", "-c", config, "--json")[1])
    (ada,) = listed["trusted"]
    assert (listed["own"], ada["name"], ada["may"]) == (None, "ada", sorted(get_args(Deed)))
    (tmp_path / "ada.pem.pub").write_text("garbage")
    code, _, err = run("keys", "list", "-c", config)
    assert code == 1
    assert "signing.trusted_keys.ada" in err
