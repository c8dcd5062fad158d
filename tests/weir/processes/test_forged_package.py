"""A forged package in the registry never serves; no command waits for it, and a stop is heard."""

import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
from forged_packages import endless_graph, forged, slow_graph
from front_door import Trained, write_settings
from running_scorer import Scorer

from inference.control.commands import CHAMPION_KEY, ChampionCommand, ModelVersion, encode
from inference.packages.registry import CHAMPION_ALIAS, RegisteredModel
from streams.base.clock import now_ms
from streams.kafka.records.control_topic import write_control
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry


@pytest.fixture
def config(kafka: str, trained: Trained, tmp_path: Path) -> Path:
    """Settings with a registry and topics of the test's own."""
    run = uuid.uuid4().hex[:8]
    shutil.copytree(trained.folder / "data", tmp_path / "data")
    return write_settings(
        tmp_path / "weir.toml",
        data_dir=str(tmp_path / "data"),
        kafka={"bootstrap_servers": kafka},
        topics={"partitions": 2} | {role: f"{role}-{run}" for role in ROLES},
        loop={"group": f"scorer-{run}", "session_timeout": "6s"},
        metrics={"port": 0},
    )


def forge(settings: Settings, graph: Any, folder: Path) -> RegisteredModel:
    registry = open_registry(settings)
    good = registry.resolve(CHAMPION_ALIAS)
    return registry.register(forged(good, folder, graph(good)))


def command(settings: Settings, model: RegisteredModel) -> None:
    """As whoever may write to the topic could give it: `weir models promote` would refuse."""
    version = ModelVersion(version=model.version, package=model.package_id)
    record = encode(ChampionCommand(model=version, by="ada", at=now_ms()))
    write_control(settings.kafka, settings.topics.control, CHAMPION_KEY, record, 30)


def told_to_serve(settings: Settings, model: RegisteredModel, scorer: Scorer) -> Scorer:
    """The scorer, once it is ready and was told to answer by a model."""
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)
    command(settings, model)
    return scorer


def ended_well(scorer: Scorer) -> None:
    """Check that it ends at a stop within seconds, in good order."""
    start = monotonic()
    assert scorer.end() == 0, scorer.log
    assert monotonic() - start < 15
    assert "terminate called" not in scorer.log
    assert "Traceback" not in scorer.log


def trying(scorer: Scorer) -> Callable[[], bool]:
    """Whether a package is being tried in a process of its own."""

    def looks() -> bool:
        children = psutil.Process(scorer.process.pid).children(recursive=True)
        return any("launcher.py" in " ".join(each.cmdline()) for each in children)

    return looks


def test_an_endless_graph_is_refused_and_the_next_command_is_heard(
    config: Path, tmp_path: Path, start: Callable[..., Scorer]
) -> None:
    settings = load_settings(config)
    bad = forge(settings, endless_graph, tmp_path / "forged")
    scorer = told_to_serve(settings, bad, start(config))
    scorer.wait_for(lambda: "the limit is 10,000" in scorer.log)
    good = open_registry(settings).get(1)
    command(settings, good)
    scorer.wait_for(lambda: scorer.metrics()["weir_model_changes_total:refused"] == 1)
    ended_well(scorer)


def test_a_later_command_and_a_stop_do_not_wait_for_a_slow_model(
    config: Path, tmp_path: Path, start: Callable[..., Scorer], run: Callable[..., Any]
) -> None:
    settings = load_settings(config)
    slow = forge(settings, slow_graph, tmp_path / "forged")
    scorer = told_to_serve(settings, slow, start(config))
    scorer.wait_for(trying(scorer))
    code, _, err = run("models", "promote", "1", "--wait", "60", "-c", config)
    assert code == 0, err
    assert "giving up model" in scorer.log
    command(settings, slow)
    scorer.wait_for(trying(scorer))
    ended_well(scorer)


@pytest.mark.exhaustive
def test_a_stop_while_the_first_model_is_tried_is_heard(
    config: Path, tmp_path: Path, start: Callable[..., Scorer]
) -> None:
    settings = load_settings(config)
    slow = forge(settings, slow_graph, tmp_path / "forged")
    open_registry(settings).set_alias(CHAMPION_ALIAS, slow.version)
    scorer = start(config)
    scorer.wait_for(trying(scorer))
    children = list(psutil.Process(scorer.process.pid).children(recursive=True))
    ended_well(scorer)
    deadline = monotonic() + 10
    while any(each.is_running() and each.status() != "zombie" for each in children):
        assert monotonic() < deadline, "the trial outlived the scorer"
        sleep(0.05)


def test_a_scorer_that_is_killed_leaves_no_trial_behind(
    config: Path, tmp_path: Path, start: Callable[..., Scorer]
) -> None:
    settings = load_settings(config)
    slow = forge(settings, slow_graph, tmp_path / "forged")
    scorer = told_to_serve(settings, slow, start(config))
    scorer.wait_for(trying(scorer))
    children = list(psutil.Process(scorer.process.pid).children(recursive=True))
    scorer.process.send_signal(signal.SIGKILL)
    scorer.process.wait(30)
    for each in children:
        assert each.wait(10) is None
