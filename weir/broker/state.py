"""What the broker's data folder remembers between starts, and where things lie in it."""

import json
import logging
import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

from streams.base.atomic_file import write_atomic

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """The ports of the node; `more` are those of further listeners, by name."""

    client: int
    controller: int
    more: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """The last start: kept so that the next one uses the same ports."""

    ports: Ports
    version: str


class Layout:
    """Names of the files in a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir
        self.pid = data_dir / "broker.pid"
        self.lock = data_dir / "broker.lock"
        self.state = data_dir / "broker.json"
        self.properties = data_dir / "server.properties"
        self.log4j2 = data_dir / "log4j2.properties"
        self.log = data_dir / "server.log"
        self.output = data_dir / "java.log"
        self.users = data_dir / "users.args"
        self.topics = data_dir / "topics"
        self.unfinished_topics = data_dir / "topics.unfinished"

    def make(self) -> None:
        """Make the folder, or find it, and close it to other users of this machine.

        All events lie in it, and what SCRAM's passwords are checked against.

        Raises:
            OSError: it can't be made.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.root, self.topics):
            if folder.exists():
                _close_to_others(folder)

    @property
    def is_formatted(self) -> bool:
        """Whether the storage was ever made ready."""
        return (self.topics / "meta.properties").exists()

    @property
    def cluster_id(self) -> str:
        """The id that the storage was formatted with."""
        for line in (self.topics / "meta.properties").read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "cluster.id":
                return value
        raise ValueError(f"{self.topics / 'meta.properties'} has no cluster.id")

    def read_state(self) -> State | None:
        """Return the last start's state; ``None`` before the first one or if it is damaged."""
        try:
            raw = json.loads(self.state.read_text())
            return State(Ports(**raw["ports"]), str(raw["version"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write_state(self, state: State) -> None:
        """Remember this start."""
        write_whole(self.state, json.dumps(asdict(state)) + "\n")


def _close_to_others(folder: Path) -> None:
    found = folder.stat()
    if not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
        folder.chmod(stat.S_IRWXU)
    else:  # such as /tmp itself, or a volume that another user has made
        logger.warning(
            "%s is not this user's alone, and so may be read by others: events and what passwords "
            "are checked against lie in it. Name a folder of your own as broker.data_dir",
            folder,
        )


def write_whole(path: Path, text: str) -> None:
    """Replace a file, whole. Only its owner may read it: Kafka's properties can hold passwords."""
    write_atomic(path, text.encode(), mode=0o600, durable=False)
