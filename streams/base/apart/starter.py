"""Starts processes that are bounded before they run anything, and ends them whole."""

import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from json import dumps
from pathlib import Path
from time import monotonic

from streams.base.apart import landlock, launcher, system_calls
from streams.base.closing import ClosedAtEnd

logger = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[3]
_ORDER, _SAID = "order.json", "said.txt"
_LOOK_S = 0.1
_SITES = {"site-packages", "dist-packages"}
_PYTHON_NEEDS = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/local/cuda"),
    *("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/sys/devices", "/sys/bus/pci"),
)
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",  # each of its threads would take a part of the address space
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class NotStartedError(OSError):
    """This machine starts no process apart; what that should have read is not to blame."""


class ApartStoppedError(Exception):
    """We were told to stop while a process apart ran; it has been ended."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a process apart may have.

    Attributes:
        cpu_s: processor time, in seconds.
        wall_s: time by the clock; more than `cpu_s`, since a busy machine is not its fault.
        memory_mb: address space, in MiB.
        file_mb: of each file that it writes; there are no more than it was given.
        files: how many it has open at once.
        nice: how much it stands back for others.
    """

    cpu_s: int
    wall_s: float
    memory_mb: int
    file_mb: int
    files: int = 64
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended.

    Attributes:
        code: its exit code; the negative number of the signal that ended it.
        overstayed: whether we ended it, since its time by the clock was up.
        said: the beginning of what it wrote to its standard error.
    """

    code: int
    overstayed: bool
    said: str

    @property
    def took_all_cpu(self) -> bool:
        """Whether the kernel ended it since its processor time was up."""
        return self.code == -signal.SIGXCPU

    def __str__(self) -> str:
        if self.overstayed:
            return "took too long"
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"ended with exit code {self.code} and no answer"


class Apart(ClosedAtEnd):
    """A folder of its own for one process, which is gone with it.

    What it shall read is put into `folder`, what it may write is named to `run`.

    Args:
        name: of the folder, for whoever finds one.
        bounds: of the process.
    """

    def __init__(self, name: str, bounds: Bounds) -> None:
        self._bounds = bounds
        self._temporary = tempfile.TemporaryDirectory(
            prefix=f"weir-{name}-", ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name).resolve()
        self._outputs: dict[str, int] = {}

    def close(self) -> None:
        """Remove the folder."""
        for output in self._outputs.values():
            os.close(output)
        self._temporary.cleanup()

    def run(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        outputs: Sequence[str] = (),
        readable: Sequence[Path] = (),
        stopped: Callable[[], bool] = lambda: False,
    ) -> Ended:
        """Run a module as ``python -m`` would, and wait for its end.

        It has nothing of our environment, no network and no children, reads Python's own files,
        those of `folder` and `readable`, and writes its outputs; where the kernel can't see to a
        part of that, `missing_guards` says so. Nothing of it is left when this returns.

        Args:
            outputs: names of the files in `folder` that it may write; they are there, and empty.
            readable: files and folders elsewhere.
            stopped: asked now and then.

        Raises:
            NotStartedError: it could not be started, or not be bounded.
            ApartStoppedError: `stopped` said so.
            OSError: the disk is full, for one.
        """
        process = self.start(module, arguments, outputs=outputs, readable=readable)
        return self.ended(process, self._wait(process, stopped))

    def start(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        outputs: Sequence[str] = (),
        readable: Sequence[Path] = (),
        pipe: int = subprocess.DEVNULL,
    ) -> "subprocess.Popen[bytes]":
        """Start what `run` runs, to be ended by `end_whole`; once for each `Apart`.

        Args:
            pipe: `subprocess.PIPE` to be connected with its standard input and output.

        Raises:
            NotStartedError, OSError: as `run`.
        """
        for name in (*outputs, _SAID):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._outputs[name] = os.open(self.folder / name, flags, 0o600)
        self._write_order(module, arguments, outputs, readable)
        missing_guards()  # says what is missing, once
        path = [*map(str, import_path())]
        try:
            return subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-B", "-X", "utf8"),
                    *(launcher.__file__, str(self.folder / _ORDER)),
                ],
                cwd=self.folder,
                env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(path), **_ONE_THREAD},
                stdin=pipe,
                stdout=pipe,
                stderr=self._outputs[_SAID],  # a file: no pipe that somebody could keep open
                start_new_session=True,
            )
        except OSError as error:
            raise NotStartedError(error.errno, f"can't start a process: {error}") from error

    def ended(self, process: "subprocess.Popen[bytes]", overstayed: bool) -> Ended:
        """How a process ended that has.

        Raises:
            NotStartedError: it could not be bounded, and has run nothing.
        """
        said = self.read(_SAID, 2_000).decode(errors="replace")
        if process.returncode == launcher.NOT_BOUNDED:
            raise NotStartedError(f"can't bound a process: {said.strip() or 'its parent ended'}")
        return Ended(process.returncode, overstayed, said)

    def read(self, output: str, most: int = -1) -> bytes:
        """What it wrote into one of its outputs.

        By the file that was made for it: it may have put a link to another one in its place.
        """
        size = os.fstat(self._outputs[output]).st_size
        return os.pread(self._outputs[output], size if most < 0 else min(size, most), 0)

    def _wait(self, process: "subprocess.Popen[bytes]", stopped: Callable[[], bool]) -> bool:
        """Wait for its end, or see to it; whether its time was up."""
        deadline = monotonic() + self._bounds.wall_s
        try:
            while (left := deadline - monotonic()) > 0:
                try:
                    process.wait(min(_LOOK_S, left))
                    return False
                except subprocess.TimeoutExpired:
                    if stopped():
                        raise ApartStoppedError from None
            return process.poll() is None
        finally:
            end_whole(process)

    def _write_order(
        self,
        module: str,
        arguments: Sequence[str],
        outputs: Sequence[str],
        readable: Sequence[Path],
    ) -> None:
        bounds = self._bounds
        path = import_path()
        read = [
            *_PYTHON_NEEDS,
            *(str(Path(base) / "lib") for base in (sys.base_prefix, sys.base_exec_prefix)),
            *(str(module) for each in path for module in _modules(each)),
            *map(os.path.abspath, readable),
            str(self.folder),
        ]
        order = {
            "module": module,
            "arguments": list(arguments),
            "parent": os.getpid(),
            "path": [str(each) for each in path],
            "guards": [name for name, there in _guards().items() if there],
            "readable": read,
            "listable": [str(each) for each in path],
            "writable": [str(self.folder / name) for name in outputs] + ["/dev/null"],
            "cpu_s": bounds.cpu_s,
            "memory_mb": bounds.memory_mb,
            "file_mb": bounds.file_mb,
            "files": bounds.files,
            "nice": bounds.nice,
        }
        (self.folder / _ORDER).write_text(dumps(order), encoding="utf-8")


def end_whole(process: "subprocess.Popen[bytes]") -> None:
    """End a process apart, and wait for its end."""
    # It leads a session of its own: with it goes all that it has started.
    with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of a dead one
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def import_path() -> list[Path]:
    """Where a process apart finds modules, behind the standard library: ours, and installed ones.

    Never the folder from which we were called, or that of a script: whoever hands over a model may
    have put modules beside it.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    caller = os.path.realpath(os.curdir)
    paths = [_ROOT]
    paths += [Path(each) for each in sys.path if Path(each).name in _SITES]
    paths += [Path(each) for each in given if os.path.realpath(each or os.curdir) != caller]
    return [each for each in dict.fromkeys(paths) if each.is_absolute() and each.is_dir()]


def _modules(folder: Path) -> list[Path]:
    """What may be read of a folder on the path: all where packages are installed, else modules.

    Of a checkout, or of whatever else a user has put on the path, the rest is nobody's business.
    """
    if folder.name in _SITES or any(folder.glob("*.dist-info")):
        return [folder]
    return [
        each
        for each in folder.iterdir()
        if each.suffix in (".py", ".so") or (each / "__init__.py").is_file()
    ]


@cache
def missing_guards() -> tuple[str, ...]:
    """What this kernel can't see to, in words; logged once."""
    words = {
        "landlock": "the kernel has no Landlock: a process apart may read and write what we may",
        "seccomp": "the kernel has no seccomp filter for this machine: a process apart has the "
        "network, and may start others and signal ours",
    }
    missing = tuple(words[name] for name, there in _guards().items() if not there)
    for each in missing:
        logger.warning("%s; what is left are its limits of time, memory and size", each)
    return missing


@cache
def _guards() -> dict[str, bool]:
    linux = sys.platform == "linux"
    return {
        "landlock": linux and landlock.version() > 0,
        "seccomp": linux and system_calls.available(),
    }


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file itself: no link, device or pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
