"""A process that fails is started again; one that ends for good, or is stopped, is not."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from front_door import environment

from streams.kafka.consuming import read_to_end
from weir.config.settings import Settings, load_settings
from weir.services.supervisor import Supervisor


def supervise(
    program: str, *arguments: str, stop: threading.Event | None = None
) -> tuple[int, int]:
    """Exit code and number of starts."""
    supervisor = Supervisor(
        [sys.executable, "-c", program, *arguments], (4,), first_wait_s=0.05, longest_wait_s=0.1
    )
    return supervisor.run(stop or threading.Event()), supervisor.starts


@pytest.mark.parametrize("code", [0, 4])
def test_an_end_for_good_is_passed_on(code: int) -> None:
    assert supervise(f"raise SystemExit({code})") == (code, 1)


def test_a_failure_or_a_kill_is_followed_by_a_new_start(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    program = """
import os, sys, pathlib
lives = pathlib.Path(sys.argv[1])
with lives.open("a") as file: file.write("x")
life = len(lives.read_text())
if life == 1: raise SystemExit(3)
if life == 2: os.kill(os.getpid(), 9)
"""
    assert supervise(program, str(lives)) == (0, 3)


def test_a_stop_is_passed_on_and_waited_for(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(0)))
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
    stop = threading.Event()
    ends: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: ends.append(supervise(program, str(ready), stop=stop)))
    thread.start()
    wait(ready.exists)
    stop.set()
    thread.join(30)
    assert ends == [(0, 1)]


def test_waits_grow_and_begin_anew_after_a_healthy_life(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(
        [sys.executable, "-c", "raise SystemExit(1)"], (), first_wait_s=0.1, longest_wait_s=0.4
    )
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    wait(lambda: supervisor.starts >= 5)
    stop.set()
    thread.join(30)
    waits = [record.args[1] for record in caplog.records if "starting again" in record.msg]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.4]


def test_a_killed_scorer_comes_back_and_answers(config: Callable[..., Path], kafka: str) -> None:
    path = config()
    settings = load_settings(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "weir", "up", "--config", str(path)],
        env=environment(PYTHONPATH=str(Path(__file__).parents[3])),
    )
    producer = Producer({"bootstrap.servers": kafka})
    scorers: list[int] = []
    try:
        for sent in range(1, 3):
            wait(lambda: bool(set(children(process.pid)) - set(scorers)))
            (scorer,) = set(children(process.pid)) - set(scorers)
            scorers.append(scorer)
            event = {
                "transaction_id": sent,
                "customer_id": 1,
                "terminal_id": 2,
                "amount": 3.0,
                "merchant_category": "food",
                "time": 1_700_000_000_000,
            }
            producer.produce(settings.topics.events, json.dumps(event), partition=0)
            assert producer.flush(60) == 0
            wait(lambda sent=sent: answered(settings) == sent)
            if sent == 1:
                os.kill(scorer, signal.SIGKILL)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert len(scorers) == 2


def answered(settings: Settings) -> int:
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    if settings.topics.scores not in admin.list_topics(timeout=30).topics:
        return 0
    return sum(len(batch) for batch in read_to_end(settings.kafka, settings.topics.scores))


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def wait(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 90
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.05)
