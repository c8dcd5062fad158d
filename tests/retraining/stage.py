"""What all schedules share: a broker, a champion, and an archive to train on."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any

from confluent_kafka.admin import AdminClient

from inference.packages.registry import CHAMPION_ALIAS
from monitoring.archive.table import EVENTS, ArchiveTable
from streams.base.child_process import our_module, tied_to_us
from streams.files.event_file import open_events
from streams.kafka.topics.weir_topics import ROLES, ensure_roles
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from tests.weir.front_door import registry_of, write_settings
from weir.config.settings import Settings, load_settings
from weir.retraining.build_controller import ensure_controller_topics
from weir.services.wiring import open_registry

LOOK_S = 0.2
_COUNT = 6_000
_PATIENCE_S = 300.0
_ATTEMPTS = 8
"""A kill of a job costs it one, and one of a controller may."""


class Stage:
    """Makes the archive once, and a copy of all for each schedule.

    Attributes:
        champion: the package that answers.
    """

    def __init__(self, folder: Path, bootstrap_servers: str) -> None:
        self._folder = folder
        self._servers = bootstrap_servers
        self.champion = ""

    def prepare(self) -> None:
        """Train the champion, have events answered, and archive them."""
        folder = self._folder / "prepared"
        folder.mkdir()
        events = registry_of(folder, (1,))
        config = self._settings(
            folder, "prepared", archive={"interval": "500ms", "niceness": 1}, metrics={"port": 0}
        )
        settings = load_settings(config)
        self.champion = open_registry(settings).get(CHAMPION_ALIAS).package_id
        subprocess.run(
            our_module("weir", "topics", "-c", str(config)), check=True, capture_output=True
        )
        table = ArchiveTable(settings.archive.place(settings.data_dir), EVENTS, {})

        def archived() -> bool:
            dataset = table.dataset()
            return dataset is not None and dataset.count_rows() >= _COUNT

        scorer, archive = (start(config, command) for command in ("score", "archive"))
        try:
            file = open_events(events, settings.event, settings.labels.field)
            pace = Pace()
            replayer = Replayer(
                file, settings.kafka, settings.topics, settings.labels, pace, limit=_COUNT
            )
            replayer.run(Event())
            _wait(archived, (scorer, archive), folder)
        finally:
            scorer.kill()
            archive.terminate()
            archive.wait(60)

    def copy(self, number: int) -> tuple[Path, Settings]:
        """Settings, data and topics for one schedule."""
        folder = self._folder / f"schedule-{number}"
        shutil.copytree(self._folder / "prepared" / "data", folder / "data")
        config = self._settings(
            folder,
            f"s{number}",
            retraining={
                "group": f"controller-{number}",
                "look": f"{LOOK_S * 1e3:.0f}ms",
                "cooldown": "0s",
                "min_frauds": 5,
                "attempts": _ATTEMPTS,
            },
        )
        settings = load_settings(config)
        admin = AdminClient(settings.kafka.client_config())
        ensure_roles(admin, settings.topics, ["feature_log"], 1)
        ensure_controller_topics(admin, settings.topics)
        return config, settings

    def _settings(self, folder: Path, name: str, **sections: Any) -> Path:
        return write_settings(
            folder / "weir.toml",
            kafka={"bootstrap_servers": self._servers},
            topics={"partitions": 1} | {role: f"{role}-{name}" for role in ROLES},
            loop={"group": f"scorer-{name}"},
            **({"metrics": {"port": 0}} | sections),
        )


def start(config: Path, command: str, log: str | None = None) -> subprocess.Popen[bytes]:
    """Start a process of Weir, which ends with ours; its log lies beside the settings."""
    with (config.parent / f"{log or command}.log").open("ab") as output:
        return subprocess.Popen(
            tied_to_us(our_module("weir", command, "-c", str(config))),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=config.parent,
        )


def _wait(
    condition: Callable[[], bool], processes: tuple[subprocess.Popen[bytes], ...], folder: Path
) -> None:
    until = monotonic() + _PATIENCE_S
    while not condition():
        if monotonic() > until or any(each.poll() is not None for each in processes):
            sys.exit(f"the archive was not prepared: see the logs in {folder}")
        sleep(0.2)
