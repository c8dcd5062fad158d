"""Locks between processes: one holder at a time, and none that outlives its holder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.base.file_lock import file_lock, hold_lock

HOLDER = """
import os, sys, time
from streams.base.file_lock import hold_lock
with hold_lock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


class TakenError(Exception):
    pass


def taken() -> None:
    raise TakenError


@contextmanager
def holder(path: Path, how: str = "alone") -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), how], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def test_another_process_waits_until_the_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    asked = 0
    with holder(path) as process:
        with pytest.raises(TakenError), file_lock(path, taken):
            pass

        def waiting() -> None:
            nonlocal asked
            asked += 1
            process.send_signal(signal.SIGKILL)

        with file_lock(path, waiting):  # the kernel freed it
            assert asked > 0
    with file_lock(path, taken):
        pass


def test_shared_locks_keep_out_only_who_wants_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path, "shared"):
        file = os.open(path, os.O_RDWR)
        with hold_lock(file, shared=True, waiting=taken):
            pass
        with pytest.raises(TakenError), hold_lock(file, waiting=taken):
            pass
        os.close(file)


def test_a_child_forked_meanwhile_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    read, write = os.pipe()
    with file_lock(path):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)  # until the parent has seen
            os._exit(0)
    with file_lock(path, taken):
        pass
    os.close(write)
    os.close(read)
    os.waitpid(child, 0)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"), file_lock(tmp_path / "link"):
        pass
    assert not (tmp_path / "elsewhere").exists()
