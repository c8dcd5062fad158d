"""Processes that fail are started again; where one ends for good, or we are stopped, all end."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from front_door import environment, weir, write_settings

from weir.services.process_output import ProcessOutput
from weir.services.supervisor import Supervisor

ROOT = Path(__file__).parents[3]
Run = Callable[..., tuple[int, str, str]]
PYTHON = [sys.executable, "-I", "-S", "-c"]

# Notes that it has begun, and how it was told to stop.
WORKER = """
import pathlib, signal, sys, time
name, journal = sys.argv[1], pathlib.Path(sys.argv[2])

def note(what):
    with journal.open("a") as file: file.write(f"{name} {what}\\n")

def told(*_):
    note("told")
    time.sleep(0.1)
    note("ended")
    sys.exit(0)

signal.signal(signal.SIGTERM, told)
print(name, "at work", flush=True)
note("begun")
time.sleep(60)
"""
FAIL_TWICE = """
import os, sys, pathlib
lives = pathlib.Path(sys.argv[1])
with lives.open("a") as file: file.write("x")
life = len(lives.read_text())
if life == 1: raise SystemExit(3)
if life == 2: os.kill(os.getpid(), 9)
"""


def supervisor(
    commands: Mapping[str, Sequence[str]], stream: io.StringIO | None = None
) -> Supervisor:
    output = ProcessOutput(stream or io.StringIO(), list(commands), coloured=False, as_json=False)
    return Supervisor(commands, output, first_wait_s=0.05, longest_wait_s=0.1)


def lines_of(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def wait(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 90
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.02)


class Running:
    """A supervisor of workers in a thread."""

    def __init__(self, journal: Path, **more: Sequence[str]) -> None:
        self.journal = journal
        workers = {name: [*PYTHON, WORKER, name, str(journal)] for name in ("one", "two", "three")}
        self.stop = threading.Event()
        self.ends: list[int] = []
        self.supervisor = supervisor({**workers, **more})
        self._thread = threading.Thread(
            target=lambda: self.ends.append(self.supervisor.run(self.stop))
        )
        self._thread.start()

    def end(self) -> list[str]:
        """The journal since all had begun."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return [line for line in lines_of(self.journal) if not line.endswith("begun")]


@pytest.mark.parametrize("code", [0, 2, 4, 5])
def test_an_end_for_good_is_passed_on(code: int) -> None:
    watcher = supervisor({"one": [*PYTHON, f"raise SystemExit({code})"]})
    assert watcher.run(threading.Event()) == code
    assert watcher.processes[0].starts == 1


def test_a_failure_or_a_kill_is_followed_by_a_new_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watcher = supervisor({"one": [*PYTHON, FAIL_TWICE, str(tmp_path / "lives")]})
    assert watcher.run(threading.Event()) == 0
    assert watcher.processes[0].starts == 3
    said = [record.getMessage() for record in caplog.records if "again" in record.msg]
    assert said == [
        "one can't reach Kafka or the database, or lacks a right there (exit code 3); starting it "
        "again in 0 s",
        "one was ended by signal 9; starting it again in 0 s",
    ]


def pauses(caplog: pytest.LogCaptureFixture, starts: int, **seconds: float) -> list[float]:
    """The pauses of a process that ends at once, which is watched for so many starts."""
    commands = {"one": [*PYTHON, "raise SystemExit(1)"]}
    output = ProcessOutput(io.StringIO(), ["one"], coloured=False, as_json=False)
    watcher = Supervisor(commands, output, first_wait_s=0.1, **seconds)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    wait(lambda: watcher.processes[0].starts >= starts)
    stop.set()
    thread.join(30)
    said = [record.args for record in caplog.records if "again" in record.msg]
    return [args[2] for args in said if isinstance(args, tuple)][: starts - 1]


def test_pauses_grow_up_to_the_longest(caplog: pytest.LogCaptureFixture) -> None:
    assert pauses(caplog, 5, longest_wait_s=0.4) == [0.1, 0.2, 0.4, 0.4]


def test_pauses_begin_anew_after_a_healthy_life(caplog: pytest.LogCaptureFixture) -> None:
    assert pauses(caplog, 4, longest_wait_s=60, healthy_s=0) == [0.1, 0.1, 0.1]


def test_a_stop_during_a_pause_ends_with_what_had_failed(caplog: pytest.LogCaptureFixture) -> None:
    commands = {"one": [*PYTHON, "raise SystemExit(3)"]}
    output = ProcessOutput(io.StringIO(), ["one"], coloured=False, as_json=False)
    stop, ends = threading.Event(), []
    watcher = Supervisor(commands, output, first_wait_s=600)
    thread = threading.Thread(target=lambda: ends.append(watcher.run(stop)))
    thread.start()
    wait(lambda: "again" in caplog.text)
    stop.set()
    thread.join(30)
    assert ends == [3]


def test_a_stop_is_passed_on_to_the_last_first_and_waited_for(tmp_path: Path) -> None:
    running = Running(tmp_path / "journal")
    wait(lambda: len(lines_of(running.journal)) == 3)
    running.stop.set()
    assert running.end() == [
        "three told",
        "three ended",
        "two told",
        "two ended",
        "one told",
        "one ended",
    ]
    assert running.ends == [0]


def test_a_process_that_is_killed_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    running = Running(tmp_path / "journal")
    try:
        for count, process in enumerate(running.supervisor.processes, 1):
            wait(lambda count=count: len(lines_of(running.journal)) == 2 + count)
            assert process._process is not None
            process._process.kill()
        wait(lambda: len(lines_of(running.journal)) == 6)
    finally:
        running.stop.set()
        told = running.end()
    assert [process.starts for process in running.supervisor.processes] == [2, 2, 2]
    assert len(told) == 6  # each worker that runs was told, and ended
    assert running.ends == [0]


def test_one_that_a_new_start_can_not_mend_takes_the_others_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    journal = tmp_path / "journal"
    # Ends once the others are at work.
    program = f"""
import pathlib, time
journal = pathlib.Path({str(journal)!r})
while not journal.exists() or len(journal.read_text().splitlines()) < 3: time.sleep(0.05)
raise SystemExit(4)
"""
    running = Running(journal, four=[*PYTHON, program])
    told = running.end()
    assert running.ends == [4]
    assert told[:2] == ["three told", "three ended"]
    assert len(told) == 6
    (said,) = (each.getMessage() for each in caplog.records if each.levelname == "ERROR")
    assert said.startswith("four gave way to another process that took over its work (exit code 4)")
    assert said.endswith("Stopping one and two and three as well")


def test_what_they_say_stands_under_their_names() -> None:
    stream = io.StringIO()
    said = "import os; os.write(2, b'an error\\n\\xff'); os.write(1, b' no end of line')"
    commands = {"one": [*PYTHON, said], "fourth": [*PYTHON, "import signal; signal.pause()"]}
    assert supervisor(commands, stream).run(threading.Event()) == 0
    assert stream.getvalue() == "one    | an error\none    | \ufffd no end of line\n"


def test_a_supervisor_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    program = f"""
import sys, threading
from weir.services.process_output import ProcessOutput
from weir.services.supervisor import Supervisor
commands = {{n: {[*PYTHON, WORKER]!r} + [n, {str(journal)!r}] for n in ("one", "two")}}
Supervisor(commands, ProcessOutput(sys.stderr, list(commands), coloured=False, as_json=False)).run(
    threading.Event())
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        wait(lambda: len(lines_of(journal)) == 2)
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
    finally:
        process.kill()
        process.wait()
    assert not psutil.wait_procs(workers, timeout=30)[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "there is no process 'nobody', only score, explainer, sink"),
        (["score", "score"], "named twice"),
    ],
)
def test_names_are_checked(run: Run, arguments: list[str], words: str) -> None:
    code, _, said = run("up", *arguments)
    assert code == 2
    assert words in said


def test_one_port_is_refused_for_several(run: Run, tmp_path: Path) -> None:
    path = write_settings(tmp_path / "weir.toml", metrics={"port": 9000})
    code, _, said = run("up", "score", "sink", "--config", path)
    assert code == 2
    assert "metrics.port = 9000 can't be the port of 2 processes" in said


def test_wrong_settings_end_all_with_the_message_of_whoever_found_them(tmp_path: Path) -> None:
    """`weir up` can read them; that they make no client is found by those that make one."""
    kafka = {"bootstrap_servers": "127.0.0.1:1", "properties": {"no.such.key": "1"}}
    path = write_settings(tmp_path / "weir.toml", kafka=kafka)
    done = weir("up", "sink", "--config", path)
    assert done.returncode == 2
    assert "sink | error: [kafka]: No such configuration property" in done.stderr
    assert "sink can't work with these settings, topics or features (exit code 2)" in done.stderr


def test_ctrl_c_is_passed_on_once(tmp_path: Path) -> None:
    """In a terminal it goes to the whole group of processes; the children are not in ours."""
    path = write_settings(tmp_path / "weir.toml", kafka={"bootstrap_servers": "127.0.0.1:1"})
    process = subprocess.Popen(
        [sys.executable, "-m", "weir", "up", "--config", str(path)],
        env=environment(PYTHONPATH=str(ROOT)),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    with process.stderr:
        wait(lambda: "started score" in process.stderr.readline())
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
    assert process.wait(60) == 0, rest
    assert rest.count("stopping score") == 1
    assert "KeyboardInterrupt" not in rest
