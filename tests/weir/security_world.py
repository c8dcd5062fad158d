"""Topics, settings and processes of one scored stream on the secured broker."""

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from confluent_kafka.admin import AclBindingFilter
from front_door import environment, write_settings
from secured import Secured

from inference.evaluation.topic_reading import LabelledScores, read_scores
from streams.kafka.client import KafkaSettings
from streams.kafka.rights.acl import Acl
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import grant
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings
from weir.services.wiring import usage

PATIENCE_S = 60.0


class World:
    """Each user has settings of its own; no password stands in them."""

    def __init__(
        self, secured: Secured, folder: Path, data_dir: Path, topology: str = "fused"
    ) -> None:
        self.secured = secured
        self._admin = secured.admin()
        self._folder = folder
        self._data_dir = data_dir
        self._topology = topology
        self._run = uuid.uuid4().hex[:8]
        self.settings: Settings = load_settings(self.write("admin"))
        self.kafka = KafkaSettings.model_validate(
            secured.with_password("admin", sasl_password=secured.passwords["admin"])
        )

    def write(self, user: str, *, certificate: bool = False, **sections: Any) -> Path:
        """The settings file of a user."""
        way = self.secured.with_certificate if certificate else self.secured.with_password
        sections = {
            "kafka": way(user),
            "data_dir": str(self._data_dir),
            "topics": {"partitions": 2} | {role: f"{role}-{self._run}" for role in ROLES},
            "stages": {"prefix": f"stage-{self._run}"},
            "loop": {
                "topology": self._topology,
                "group": f"scorer-{self._run}",
                "session_timeout": "6s",
            },
            "retraining": {"group": f"controller-{self._run}", "look": "300ms"},
            "snapshots": {"every_events": 200},
            "metrics": {"port": 0},
            "store": {
                "url": f"sqlite:///{self._folder / 'store.db'}",
                "key_file": str(self._folder / "audit-key.pem"),
                "witness_topic": f"witness-{self._run}",
            },
        } | sections
        return write_settings(self._folder / f"{user}-{uuid.uuid4().hex[:6]}.toml", **sections)

    def needs(self, process: Process) -> list[Acl]:
        """What `weir acls` says that a process needs."""
        return acls_of(process, usage(self.settings))

    def grant(self, user: str, acls: Sequence[Acl]) -> None:
        grant(self._admin, [acl.binding(f"User:{user}") for acl in acls])

    def take_away(self, user: str, acl: Acl) -> None:
        has = acl.binding(f"User:{user}")
        exactly = AclBindingFilter(
            has.restype,
            has.name,
            has.resource_pattern_type,
            has.principal,
            has.host,
            has.operation,
            has.permission_type,
        )
        (deleted,) = self._admin.delete_acls([exactly]).values()
        assert len(deleted.result(30)) == 1

    def check_silence(self, text: str) -> None:
        """No password is in it."""
        for password in self.secured.passwords.values():
            assert password not in text

    def scores(self) -> LabelledScores:
        return read_scores(self.kafka, self.settings.topics.scores)

    @contextmanager
    def scorer(self, config: Path, log: Path, **secrets: str) -> Iterator["subprocess.Popen[str]"]:
        """A running `weir score`, which is to end well."""
        with self.started(config, log, **secrets) as process:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, log.read_text()

    @contextmanager
    def started(self, config: Path, log: Path, **secrets: str) -> Iterator["subprocess.Popen[str]"]:
        """A running `weir score`."""
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "weir", "score", "-c", str(config)],
                stderr=file,
                text=True,
                env=environment(PYTHONPATH=str(Path(__file__).parents[2]), **secrets),
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait_for(self, count: int, process: "subprocess.Popen[str]", log: Path) -> LabelledScores:
        """Wait until so many events are answered."""
        deadline = monotonic() + PATIENCE_S
        while len((scores := self.scores()).ids) < count:
            assert process.poll() is None, log.read_text()
            assert monotonic() < deadline, f"{len(scores.ids)} of {count}:\n{log.read_text()}"
            sleep(0.2)
        return scores
