"""The broker's operating-system process: found by its pid file, started, stopped."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from streams.base.child_process import tied_to_us
from weir.broker.errors import BrokerError
from weir.broker.state import Layout

_MAIN_CLASS = "kafka.Kafka"
_KILL_WAIT_S = 10.0
PRIVATE = 0o077
"""The umask of what writes events to disk: nothing for other users."""


def find_process(layout: Layout) -> psutil.Process | None:
    """Return the live broker of this data folder, ``None`` if there is none.

    A pid file may outlive its broker and its number may belong to another program by now, so the
    command line must name Kafka and this folder.
    """
    try:
        process = psutil.Process(int(layout.pid.read_text()))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        command = process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return process if command[-2:] == [_MAIN_CLASS, str(layout.properties)] else None


def broker_command(java: Path, heap: str, jars: Sequence[Path], layout: Layout) -> list[str]:
    """Return the command line of the broker."""
    return [
        str(java),
        f"-Xmx{heap}",
        "-XX:+ExitOnOutOfMemoryError",
        # The optimising compiler never earns back its time here: without it the broker is ready
        # sooner and spent 40 % less CPU on a million records.
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={layout.log4j2}",
        "-cp",
        os.pathsep.join(map(str, jars)),
        _MAIN_CLASS,
        str(layout.properties),
    ]


def launch(command: list[str], layout: Layout, *, die_with_parent: bool) -> subprocess.Popen[bytes]:
    """Start the broker in a session of its own and write its pid file.

    `die_with_parent` lets the kernel stop it when this process ends, however it ends. Only Linux
    can, and only for a start from the main thread; elsewhere a killed parent leaves it running.
    """
    with layout.output.open("wb") as output:
        process = subprocess.Popen(
            tied_to_us(command) if die_with_parent else command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=layout.root,
            start_new_session=True,
            umask=PRIVATE,
        )
    try:
        layout.pid.write_text(f"{process.pid}\n")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def terminate(process: psutil.Process, timeout: float) -> None:
    """Stop the broker: ask, wait `timeout` seconds, then kill.

    Raises:
        BrokerError: it belongs to another user, or the kernel does not let it go.
    """
    try:
        process.terminate()
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_KILL_WAIT_S)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise BrokerError(
            f"broker {process.pid} belongs to another user: stop it as that user"
        ) from error
    except psutil.TimeoutExpired as error:
        raise BrokerError(f"broker {process.pid} does not end even when killed") from error


def uptime_s(process: psutil.Process) -> float:
    """Return the seconds since the process was started."""
    return max(0.0, time.time() - process.create_time())
