"""A small world with a champion, which several tests of the scorer share."""

import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from front_door import Trained, write_events, write_settings
from running_scorer import Scorer
from secured import Secured

from streams.files.event_file import open_events
from streams.kafka.topics.weir_topics import ROLES
from weir.cli import console
from weir.config.settings import load_settings
from weir.main import main
from weir.training.registering import train_and_register


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Undo what a command of this process says of the log: it would hold for tests that follow."""
    yield
    logging.getLogger("streams").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    events = write_events(folder / "events.parquet")
    settings = load_settings(write_settings(folder / "weir.toml"))
    file = open_events(events, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    return Trained(folder, events)


@pytest.fixture
def config(kafka: str, trained: Trained, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes settings with topics and a group of their own."""
    run = uuid.uuid4().hex[:8]

    def write(**sections: Any) -> Path:
        defaults = {
            "data_dir": str(trained.folder / "data"),
            "kafka": {"bootstrap_servers": kafka},
            "topics": {"partitions": 4} | {role: f"{role}-{run}" for role in ROLES},
            "loop": {"group": f"scorer-{run}", "session_timeout": "6s"},
            "metrics": {"port": 0},
        }
        return write_settings(tmp_path / "weir.toml", **(defaults | sections))

    return write


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with passwords, mutual TLS and ACLs; all tests of a run share it."""
    with Secured(tmp_path_factory.mktemp("secured")).running() as broker:
        yield broker


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the front door in this process: (exit code, stdout, stderr)."""
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    # Consoles that an earlier test has made know the width of then.
    for each in (console.stdout, console.stderr):
        monkeypatch.setattr(each, "_width", 200)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["weir", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., Scorer]]:
    """Return a function that starts a scorer; none outlives the test."""
    started: list[Scorer] = []

    def run(config: Path, *options: str, command: str = "score", **secrets: str) -> Scorer:
        started.append(Scorer(config, *options, command=command, **secrets))
        return started[-1]

    yield run
    for scorer in started:
        scorer.process.kill()
        scorer.process.wait()
