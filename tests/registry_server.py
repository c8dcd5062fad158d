"""A real schema registry: Apicurio, through its API that is like Confluent's."""

import os
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

import requests
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from jgo.constants import MAVEN_CENTRAL_URL

from weir.broker import BrokerSettings
from weir.broker.download import fetch
from weir.broker.java import find_java
from weir.broker.lock import exclusive

_VERSION = "2.6.13.Final"
_NAME = f"apicurio-registry-app-{_VERSION}"
_PATH = f"io/apicurio/apicurio-registry-app/{_VERSION}/{_NAME}-all.tar.gz"
_SHA256 = "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba"


class Registry:
    """The registry's process; it keeps everything in memory."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.root}/apis/ccompat/v7"
        self._process = self._start()

    def _start(self) -> subprocess.Popen:
        process = subprocess.Popen(
            [
                find_java().path,
                *("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
                *("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}"),
                *("-jar", str(self._program / f"{_NAME}-runner.jar")),
            ],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                if requests.get(f"{self.url}/subjects", timeout=5).status_code == 200:
                    return process
            except requests.RequestException:
                pass
            assert process.poll() is None, "the registry did not start"
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.2)

    def freeze(self) -> None:
        """Let it stand still: connections hang."""
        self._process.send_signal(signal.SIGSTOP)
        # On a busy machine its threads run on for a while, and answer one more request.
        tasks = Path(f"/proc/{self._process.pid}/task")
        deadline = time.monotonic() + 30
        while any(_runs(task) for task in tasks.iterdir()):
            assert time.monotonic() < deadline, "the registry does not stand still"
            time.sleep(0.01)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def client(self) -> SchemaRegistryClient:
        """Confluent's own client."""
        return SchemaRegistryClient({"url": self.url})

    def register(self, kind: str, text: str, references=()) -> int:
        """Register under a subject of its own; returns the id."""
        schema = Schema(text, kind, list(references))
        return self.client().register_schema(f"subject-{uuid.uuid4().hex}", schema)


def _runs(task: Path) -> bool:
    """Whether a thread of a process that was stopped has not stopped yet."""
    try:
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:  # it has ended
        return False
    return state not in "tT"


def fetch_registry() -> Path:
    """The folder of the registry's program: fetched once (142 MB), verified, and cached."""
    cache = BrokerSettings().cache_dir.expanduser().absolute() / "schema-registry"
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "lock", 600):
        folder = cache / _NAME
        if not folder.is_dir():
            archive = cache / f"{_NAME}-all.tar.gz"
            fetch(_url(), archive, _SHA256, lambda size: None)
            unpacked = tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True)
            with unpacked as inside, tarfile.open(archive) as packed:
                packed.extractall(inside, filter="data")
                Path(inside).rename(folder)
            archive.unlink()
    return folder


def _url() -> str:
    repository = os.environ.get("WEIR_BROKER__MAVEN_REPOSITORY", MAVEN_CENTRAL_URL)
    return f"{repository.rstrip('/')}/{_PATH}"
