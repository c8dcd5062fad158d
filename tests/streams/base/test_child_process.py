"""A child that is tied to us is the program itself, and ends when we do, however we end."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from streams.base import launcher
from streams.base.child_process import our_module, tied_to_us, without_relative_imports

ROOT = Path(__file__).parents[3]

# Starts a child while another thread runs; both say their process ids.
PARENT = """
import subprocess, sys, threading, time
from streams.base.child_process import tied_to_us

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
child = subprocess.Popen(tied_to_us([sys.executable, "-c", sys.argv[1]]), start_new_session=True)
time.sleep(60)
"""
CHILD = """
import os, signal, sys, time

def told(*_):
    os.write(1, b"told to end\\n")
    os._exit(0)

signal.signal(signal.SIGTERM, told)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent")
def test_a_child_is_told_to_end_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.ppid() == parent.pid
        parent.kill()
        parent.wait()
        assert parent.stdout.read() == "told to end\n"  # and then nobody has the pipe any more


def test_it_is_the_program_itself_as_if_we_had_started_it() -> None:
    program = "import os, signal, sys; print(os.getpid(), os.getppid(), sys.argv[1:], end='')"
    child = subprocess.Popen(
        tied_to_us([sys.executable, "-c", program, "--an option", "ä"]),
        stdout=subprocess.PIPE,
        text=True,
    )
    said, _ = child.communicate(timeout=30)
    assert said == f"{child.pid} {os.getpid()} ['--an option', 'ä']"
    assert child.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_no_signal_is_ignored_that_would_not_be() -> None:
    """Python ignores SIGPIPE; a program that inherited that would not end when its reader does."""
    command = tied_to_us(["cat", "/proc/self/status"])
    status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (ignored,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    assert not int(ignored, 16) & 1 << (signal.SIGPIPE - 1)


def test_a_program_that_is_not_there_is_said_in_one_line() -> None:
    command = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), "/nowhere/java"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr == "/nowhere/java can't be started: No such file or directory\n"


def test_a_child_whose_parent_has_ended_before_does_not_begin() -> None:
    command = [sys.executable, "-I", "-S", launcher.__file__, "1", "echo", "begun"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_outside_the_main_thread_the_command_is_as_it_came() -> None:
    """The kernel would take the end of that thread for the end of the parent."""
    told: list[list[str]] = []
    thread = threading.Thread(target=lambda: told.append(tied_to_us(["true"])))
    thread.start()
    thread.join()
    assert told == [["true"]]


@pytest.mark.parametrize("path", ["", ".", f".{os.pathsep}{ROOT}", f"{os.pathsep}{ROOT}", "here"])
def test_a_module_of_ours_imports_nothing_from_the_callers_folder(tmp_path: Path, path) -> None:
    (tmp_path / "here").mkdir()
    for folder in (tmp_path, tmp_path / "here"):
        for name in ("resource", "subprocess", "typer", "weir"):
            (folder / f"{name}.py").write_text("import os; os.write(2, b'PWNED'); os._exit(9)")
    command = tied_to_us(our_module("weir", "--help"))
    environment = without_relative_imports(os.environ | {"PYTHONPATH": path})
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_rest_of_an_environment_stays() -> None:
    given = {"A": "1", "PYTHONPATH": os.pathsep.join(["/a", "", "b", "/c"])}
    assert without_relative_imports(given) == {"A": "1", "PYTHONPATH": f"/a{os.pathsep}/c"}
    assert without_relative_imports({"A": "1"}) == {"A": "1"}
