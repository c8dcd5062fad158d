"""Files appear whole or not at all: when writing fails, the disk is full, the writer is killed."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.base.atomic_file import atomic_file, is_partial, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as file:
        file.write(b"one")
        assert not path.exists()
        assert [is_partial(each) for each in tmp_path.iterdir()] == [True]
    assert path.read_bytes() == b"one"
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["file"]


def test_after_an_error_what_was_there_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"before")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"%d" % (1 / 0))
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["file"]


def test_what_is_not_to_be_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"first", replace=False)
    with pytest.raises(FileExistsError, match=str(path)):
        write_atomic(path, b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["file"]


def test_permissions_are_those_asked_for_or_of_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    umask = os.umask(0o022)
    try:
        write_atomic(path, b"")
        assert path.stat().st_mode & 0o777 == 0o644
        path.chmod(0o640)
        write_atomic(path, b"again")
        assert path.stat().st_mode & 0o777 == 0o640
        with atomic_file(path, mode=0o600):
            (partial,) = (each for each in tmp_path.iterdir() if is_partial(each))
            assert partial.stat().st_mode & 0o777 == 0o600  # from the first moment
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(umask)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_is_said_with_the_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel itself says so, of a descriptor that leads to /dev/full."""
    path = tmp_path / "report.json"
    write_atomic(path, b"before")
    opened = os.open
    with monkeypatch.context() as full:
        full.setattr(
            os, "open", lambda name, flags, mode=0o777: _full(opened(name, flags, mode), name)
        )
        with pytest.raises(OSError, match=f"No space left on device: '{path}'") as told:
            write_atomic(path, b"after")
    assert told.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["report.json"]


def _full(descriptor: int, name: str) -> int:
    if is_partial(Path(name)):
        device = os.open("/dev/full", os.O_WRONLY)
        os.dup2(device, descriptor)
        os.close(device)
    return descriptor


def test_a_folder_that_is_not_there_is_named_not_the_hidden_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError, match=str(path)):
        write_atomic(path, b"")


KILLED = """
import sys, time
from pathlib import Path
from streams.base.atomic_file import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_not_mistaken_and_goes_after_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"before")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    (left,) = (each for each in tmp_path.iterdir() if is_partial(each))
    assert left.read_bytes() == b"half"
    write_atomic(path, b"after")
    assert path.read_bytes() == b"after"
    assert left.exists()  # for all that we know it is being written
    long_ago = time.time() - 7_200
    os.utime(left, (long_ago, long_ago))
    mine = tmp_path / ".weir-notes.partial"
    mine.write_bytes(b"of somebody else")
    os.utime(mine, (long_ago, long_ago))
    write_atomic(path, b"once more")
    assert names(tmp_path) == [".weir-notes.partial", "file"]
