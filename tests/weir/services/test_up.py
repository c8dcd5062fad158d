"""`weir up`: each process is killed, and every flagged event is explained and stored."""

import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
from front_door import Trained, weir, write_settings
from running_scorer import Scorer
from sqlalchemy import func, select

from explain.store.tables import records
from inference.evaluation.topic_reading import read_scores
from streams.files.event_file import EventFile, open_events
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from weir.config.settings import Settings, load_settings

NAMES = ("score", "explainer", "sink")
COUNT = 400


def test_a_killed_sink_is_started_again(
    kafka: str, make_topics: Callable[..., list[str]], start: Callable[..., Scorer], tmp_path: Path
) -> None:
    explanations, letters = make_topics("explanations", "letters")
    path = write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": kafka},
        topics={"explanations": explanations, "dead_letters": letters},
        metrics={"port": 0},
        **store_of(tmp_path),
    )
    up = start(path, "sink", command="up")
    up.wait_for(lambda: "metrics on" in up.log, 120)
    processes(up)["sink"].kill()
    up.wait_for(lambda: up.log.count("metrics on") == 2, 120)
    assert "sink was ended by signal 9; starting it again in 1 s" in up.log
    assert up.end() == 0
    said = [line for line in up.lines if "weir.services.supervisor: " not in line]
    assert said
    assert all(line.startswith("sink | ") for line in said)


@pytest.mark.exhaustive  # three processes, started twice: a minute
def test_each_of_three_is_killed_and_every_explanation_is_stored_once(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], tmp_path: Path
) -> None:
    path = config(
        policy={"version": "wide", "review_alert_rate": 0.2, "decline_alert_rate": 0.01},
        explain={
            "group": f"explainer-{uuid.uuid4().hex}",
            "samples": 256,
            "transaction_timeout": "6s",
            "session_timeout": "6s",
        },
        **store_of(tmp_path),
    )
    settings = load_settings(path)
    file = open_events(trained.events, settings.event, settings.labels.field)
    half = int(file.times[COUNT])
    assert weir("topics", "-c", path).returncode == 0
    up = start(path, *NAMES, command="up")
    send(settings, file, stop_ms=half)
    up.wait_for(lambda: stored(settings) > 0, 300)
    killed = processes(up)
    for process in killed.values():
        process.kill()
    send(settings, file, start_ms=half, limit=COUNT)
    up.wait_for(lambda: len(answers(settings)) == 2 * COUNT, 300)
    for name in NAMES:
        assert f"{name} was ended by signal 9; starting it again in 1 s" in up.log
    flagged = [event for event, decision in answers(settings).items() if decision != "approve"]
    assert len(flagged) > 20
    up.wait_for(lambda: stored(settings) >= len(flagged), 300)
    assert up.end() == 0, up.log
    assert stored(settings) == len(flagged)
    order = [line.split()[-1] for line in up.lines if "weir.services.supervisor: stopping" in line]
    assert order == list(reversed(NAMES))
    assert "Traceback" not in up.log


def store_of(folder: Path) -> dict[str, Any]:
    """Settings of a store, and a consumer group, that nobody else has."""
    return {
        "store": {
            "group": f"sink-{uuid.uuid4().hex}",
            "url": f"sqlite:///{folder / 'store.db'}",
            "key_file": str(folder / "audit-key.pem"),
        }
    }


def send(settings: Settings, file: EventFile, **span: int) -> None:
    topics, labels = settings.topics, settings.labels
    Replayer(file, settings.kafka, topics, labels, Pace(), **span).run(Event())


def processes(up: Scorer) -> dict[str, psutil.Process]:
    """The supervisor's children by the command that they run."""
    children = psutil.Process(up.process.pid).children()
    return {next(name for name in NAMES if name in each.cmdline()): each for each in children}


def stored(settings: Settings) -> int:
    with (
        settings.store.open_database(settings.data_dir) as database,
        database.reading() as connection,
    ):
        return int(connection.execute(select(func.count()).select_from(records)).scalar_one())


def answers(settings: Settings) -> dict[Any, str]:
    scores = read_scores(settings.kafka, settings.topics.scores)
    return dict(zip(scores.ids, scores.decisions, strict=True))
