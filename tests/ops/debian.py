"""Prometheus and Alertmanager as Debian has them, unpacked into a folder: nothing is installed."""

import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "var" / "ops"
PACKAGES = ("prometheus", "prometheus-alertmanager")
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")


class MissingError(Exception):
    """They can't be had here; says why."""


def programs() -> dict[str, str]:
    """Where each of `PROGRAMS` is; fetched where they were not yet.

    Raises:
        MissingError: this machine has no apt, or apt does not give them.
    """
    found = {name: FOLDER / "usr" / "bin" / name for name in PROGRAMS}
    if not all(path.is_file() for path in found.values()):
        _fetch()
    return {name: str(path) for name, path in found.items()}


def _fetch() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MissingError(
                f"there is no {tool} here: ops-check takes Prometheus from Debian's or Ubuntu's "
                "packages, so run it on such a machine"
            )
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["apt-get", "download", *PACKAGES], cwd=FOLDER, capture_output=True, text=True
    )
    if done.returncode:
        raise MissingError(
            f"apt-get download {' '.join(PACKAGES)}: {done.stderr.strip()}\n"
            "where it knows no such package, run `apt-get update` first"
        )
    for package in FOLDER.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(FOLDER)], check=True)
        package.unlink()
