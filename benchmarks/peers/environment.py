"""An environment of its own for another library, made at the first run."""

import subprocess
import sys
import tempfile
from pathlib import Path

PLACE = Path(tempfile.gettempdir()) / "weir-peers"


def python_with(name: str, packages: list[str], folder: Path = PLACE) -> str:
    """Return the Python of an environment with these packages.

    Raises:
        subprocess.CalledProcessError: they can't be installed.
    """
    python = folder / name / "bin" / "python"
    if not python.exists():
        output_of([sys.executable, "-m", "uv", "venv", "-q", str(python.parents[1])])
        install = [sys.executable, "-m", "uv", "pip", "install", "-q"]
        output_of([*install, "--python", str(python), *packages])
    return str(python)


def output_of(command: list[str]) -> str:
    """What a command prints.

    Raises:
        subprocess.CalledProcessError: it failed; it has what was printed to stderr.
    """
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
