"""`weir controller`: one job for an episode, whoever is killed; its model is a candidate."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from front_door import Trained
from front_door import weir_here as weir
from running_scorer import Scorer, replay

from inference.shadow.shadow_book import ShadowBook
from monitoring.archive.table import EVENTS, ArchiveTable
from monitoring.episodes.episode import ENCODE_EPISODE, Episode, WorseFigure
from streams.kafka.records.publisher import Publisher
from weir.config.settings import Settings, load_settings
from weir.retraining.book import read_status
from weir.services.candidates.compared import read_book
from weir.services.wiring import open_registry

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
COUNT = 6_000


def say(settings: Settings, name: str, model: str, kind: Any, state: Any = "open") -> None:
    """As the monitor says it."""
    figure = WorseFigure("cost", 1, 9.0, 2.0, 1.0, f"it costs twice as much ({name})")
    episode = Episode(name, model, kind, "page", state, 1, 2, [], figures=[figure])
    with Publisher(settings.kafka) as publisher:
        publisher.send(settings.topics.drift, ENCODE_EPISODE(episode), key=name)
        publisher.flush()


def jobs(settings: Settings) -> list[Any]:
    return read_status(settings.kafka, settings.topics.retraining)[1]


def candidates(settings: Settings) -> ShadowBook:
    return read_book(settings, settings.kafka)


def kill(process: Scorer) -> None:
    process.process.send_signal(signal.SIGKILL)
    process.process.wait()


@pytest.mark.exhaustive
def test_an_episode_has_one_job_and_its_model_is_a_candidate(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], tmp_path: Path
) -> None:
    shutil.copytree(trained.folder / "data", tmp_path / "data")
    group = f"controller-{os.urandom(4).hex()}"
    path = config(
        data_dir=str(tmp_path / "data"),
        archive={"group": f"archive-{os.urandom(4).hex()}", "interval": "500ms", "niceness": 1},
        retraining={"group": group, "look": "300ms", "cooldown": "0s", "min_frauds": 5},
    )
    settings = load_settings(path)
    champion = open_registry(settings).get("champion").package_id
    assert weir("topics", "-c", path).returncode == 0
    scorer, archive = start(path), start(path, command="archive")
    replay(path, trained.events, COUNT)
    table = ArchiveTable(settings.archive.place(settings.data_dir), EVENTS, {})

    def archived() -> bool:
        dataset = table.dataset()
        return dataset is not None and dataset.count_rows() >= COUNT

    archive.wait_for(archived, 120)
    kill(scorer)
    archive.process.send_signal(signal.SIGTERM)
    archive.process.wait()

    controller = start(path, command="controller")
    controller.wait_for(lambda: controller.metrics().get("weir_retraining_phase:ok") == 1.0)
    say(settings, "units", "all", "data_breakage")
    say(settings, "loss", champion[:12], "performance_loss")
    controller.wait_for(lambda: controller.metrics()["weir_retraining_hindered"] == 1.0)
    assert not jobs(settings), "broken data keep a model from being trained"
    kill(controller)
    say(settings, "units", "all", "data_breakage", "closed")

    controller = start(path, command="controller")
    controller.wait_for(lambda: len(jobs(settings)) == 1)
    kill(controller)  # while its job runs, or before that is known
    controller = start(path, command="controller")
    controller.wait_for(lambda: bool(candidates(settings).commands), 180)
    (job,) = jobs(settings)
    (name,) = candidates(settings).commands
    assert (job.cause.id, name) == ("loss", job.candidate)
    model = open_registry(settings).of_job(job.key)
    assert model is not None
    assert model.aliases == ()
    assert candidates(settings).wanted[name].package == model.package_id != champion

    again = weir("retrain", tmp_path / "data" / "jobs" / job.key / "spec.json", "-c", path)
    assert "has it already" in again.stdout, again.stderr
    kill(controller)
    assert weir("shadow", "remove", name, "--by", "ada", "-c", path).returncode == 0
    controller = start(path, command="controller")
    controller.wait_for(lambda: jobs(settings)[0].outcome == "withdrawn")
    assert weir("controller", "trigger", "--by", "ada", "-c", path).returncode == 0
    controller.wait_for(lambda: len(jobs(settings)) == 2)
    shown = weir("controller", "status", "-c", path)
    assert "ada asked for it" in " ".join(shown.stdout.split()), shown.stderr
    assert json.loads(weir("controller", "status", "--json", "-c", path).stdout)["jobs"][0][
        "outcome"
    ] == ("withdrawn")
    say(settings, "loss", champion[:12], "performance_loss")
    controller.process.send_signal(signal.SIGTERM)
    assert controller.process.wait(30) == 0, controller.log
    assert len(jobs(settings)) == 2
