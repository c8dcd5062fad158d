"""Formatting a new data folder, whole or not at all."""

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from weir.broker.config import server_properties
from weir.broker.errors import BrokerError
from weir.broker.process import PRIVATE
from weir.broker.settings import BrokerSettings
from weir.broker.state import Layout, Ports, write_whole

SCRAM = "SCRAM-SHA-512"
_TIMEOUT_S = 120.0


def format_storage(
    settings: BrokerSettings, ports: Ports, layout: Layout, java: Path, jars: Sequence[Path]
) -> None:
    """Make the storage of a new cluster with Kafka's own tool.

    The tool writes several files and may be killed between them, so it works in a folder that takes
    its name only when all is there.

    Raises:
        BrokerError: the tool refused, for example an unknown entry of `settings.properties`.
    """
    shutil.rmtree(layout.unfinished_topics, ignore_errors=True)
    write_whole(layout.properties, server_properties(settings, ports, layout.unfinished_topics))
    command = [
        str(java),
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={layout.log4j2}",
        "-cp",
        os.pathsep.join(map(str, jars)),
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        _new_cluster_id(),
        "--config",
        str(layout.properties),
    ]
    if users := settings.scram_users():
        # Through a file: everybody on the machine can read a command line.
        write_whole(layout.users, _scram_arguments(users))
        command.append(f"@{layout.users}")
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, umask=PRIVATE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerError(f"formatting {layout.topics} took over {_TIMEOUT_S:.0f} s") from error
    finally:
        layout.users.unlink(missing_ok=True)
    if answer.returncode != 0:
        raise BrokerError(
            f"Kafka cannot format {layout.topics}:\n{(answer.stderr or answer.stdout).strip()}"
        )
    os.replace(layout.unfinished_topics, layout.topics)


def _scram_arguments(users: Mapping[str, str]) -> str:
    """Return what makes these users, an argument of Kafka's tool per line."""
    return "".join(
        f"--add-scram\n{SCRAM}=[name={name},password={password}]\n"
        for name, password in users.items()
    )


def _new_cluster_id() -> str:
    """Return 16 random bytes in Kafka's spelling, which must not look like an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]).startswith("-"):
        pass
    return text
