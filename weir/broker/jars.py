"""Kafka's jars: pinned in ``kafka-jars.lock``, kept in a cache, verified at every start."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jgo.constants import MAVEN_CENTRAL_URL

from weir.broker.download import fetch
from weir.broker.errors import explain_os_errors
from weir.broker.progress import Progress, silent

_DOWNLOADS_AT_ONCE = 6


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The jar's name in any folder of jars."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path_in_repository(self) -> str:
        """Where a Maven repository keeps it, below its root."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"

    def is_at(self, path: Path) -> bool:
        """Whether the file is there and holds exactly this jar."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def read_lock() -> list[Jar]:
    """Return the pinned jars, in the order of the lock file."""
    jars = []
    for line in (files(__package__) / "kafka-jars.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            coordinates, size, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, int(size), sha256))
    return jars


def kafka_version(jars: list[Jar]) -> str:
    """Return the version of Kafka that the jars are."""
    return next(jar.version for jar in jars if jar.artifact == "kafka-clients")


def provide(
    jars: list[Jar], cache_dir: Path, repository: str | None = None, progress: Progress = silent
) -> list[Path]:
    """Return the paths of all jars, verified, bringing those that are missing or damaged.

    A missing jar comes from Maven's local repository (``~/.m2``) if it is there, else from
    `repository`, by default Maven Central. Processes may share the cache: a jar appears in it whole
    or not at all.

    Raises:
        BrokerError: offline, not in the repository, wrong checksum, or the cache not writable.
    """
    folder = cache_dir.absolute() / f"kafka-{kafka_version(jars)}"
    with explain_os_errors(folder, "broker.cache_dir"):
        folder.mkdir(parents=True, exist_ok=True)
    base_url = (repository or MAVEN_CENTRAL_URL).rstrip("/")
    local = Path.home() / ".m2" / "repository"
    missing = [jar for jar in jars if not jar.is_at(folder / jar.file_name)]
    total = sum(jar.size for jar in missing)
    done = 0
    lock = threading.Lock()
    step = f"fetching Apache Kafka {kafka_version(jars)}"

    def count(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(step, done, total)

    def bring(jar: Jar) -> None:
        known = local / jar.path_in_repository
        url = known.as_uri() if jar.is_at(known) else f"{base_url}/{jar.path_in_repository}"
        with explain_os_errors(folder, "broker.cache_dir"):
            fetch(url, folder / jar.file_name, jar.sha256, count)

    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        futures = [pool.submit(bring, jar) for jar in missing]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [folder / jar.file_name for jar in jars]
