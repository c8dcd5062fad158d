"""The scaffold of services: one file makes a process, and its port tells the truth throughout."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from front_door import environment, write_settings
from prometheus_client.parser import text_string_to_metric_families
from running_scorer import Scorer
from toy_service import Toy

from streams.base.bounded_calls import StoppedError
from streams.kafka.topics.weir_topics import ROLES
from weir.services.processes import PROCESSES
from weir.services.service import run_service

Config = Callable[..., Path]


@pytest.fixture
def config(kafka: str, tmp_path: Path) -> Config:
    """Return a function that writes settings with topics of their own."""
    topics = {role: f"{role}-{uuid.uuid4().hex[:8]}" for role in ROLES} | {"partitions": 1}
    given = {"kafka": {"bootstrap_servers": kafka}, "topics": topics}
    return lambda **sections: write_settings(tmp_path / "weir.toml", **(given | sections))


class Watched:
    """Runs a toy in this process, and a script beside it that asks its port and ends it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._log = caplog
        self._failed: BaseException | None = None

    def run(self, toy: Toy, config: Path, script: Callable[[], None], port: int | None = 0) -> None:
        thread = Thread(target=self._play, args=(toy, script))
        thread.start()
        try:
            run_service(toy.service, config, port)
        finally:
            thread.join(60)
            if self._failed is not None:
                raise self._failed

    def _play(self, toy: Toy, script: Callable[[], None]) -> None:
        try:
            script()
        except BaseException as error:
            self._failed = error
            for each in (toy.may_build, toy.may_work, toy.may_end):
                each.set()
            self.tell_to_stop()

    def tell_to_stop(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    @property
    def said(self) -> list[str]:
        return [record.getMessage() for record in self._log.records]

    def get(self, path: str, method: str = "GET", accept: str = "*/*") -> tuple[int, str]:
        """Status and body of a page, as soon as the port answers."""
        wait_for(lambda: any("answers on http" in line for line in self.said))
        address = re.search(r"answers on (http://\S+):", " ".join(self.said))
        assert address is not None
        request = Request(address[1] + path, headers={"Accept": accept}, method=method)
        try:
            with urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float | None:
        status, text = self.get("/metrics")
        assert status == 200
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    return sample.value
        return None


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> Iterator[Watched]:
    caplog.set_level(logging.INFO)
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield Watched(caplog)
    for number, handler in before.items():
        signal.signal(number, handler)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.01)


def test_a_toy_is_not_ready_ready_and_not_ready_as_it_starts_works_and_stops(
    config: Config, watched: Watched
) -> None:
    toy = Toy()

    def script() -> None:
        wait_for(lambda: "fetching numbers" in watched.get("/readyz")[1])
        assert watched.get("/readyz") == (503, "not ready: fetching numbers\n")
        assert watched.get("/livez") == (200, "alive\n")
        assert watched.metric("weir_ready") == 0
        toy.may_build.set()
        wait_for(lambda: "restoring numbers" in watched.get("/readyz")[1])
        assert watched.get("/readyz")[0] == 503
        assert watched.metric("weir_ready") == 0
        toy.may_work.set()
        assert watched.get("/readyz") == (200, "ready\n")
        assert watched.metric("weir_ready") == 1
        said = {"process": "toy", "ready": True, "problems": []}
        assert json.loads(watched.get("/readyz?format=json")[1]) == said
        toy.may_work.clear()
        status, text = watched.get("/readyz", accept="application/json")
        assert (status, json.loads(text)["problems"]) == (503, ["restoring numbers"])
        toy.may_work.set()
        toy.given.put(40)
        toy.given.put(2)
        wait_for(lambda: watched.metric("toy_numbers_total") == 2)
        assert (watched.metric("process_resident_memory_bytes") or 0) > 10_000_000
        assert (watched.metric("process_open_fds") or 0) > 3
        assert watched.metric("process_start_time_seconds") is not None
        assert watched.get("/metrics", "HEAD") == (200, "")
        for path in ("/", "/metrics/", "/anything"):
            status, text = watched.get(path)
            assert (status, "toy_numbers" in text) == (404, False)
        watched.tell_to_stop()
        wait_for(lambda: watched.get("/readyz")[0] == 503)
        assert watched.get("/readyz") == (503, "not ready: stopping\n")
        assert watched.get("/livez") == (200, "alive\n")
        assert watched.metric("weir_ready") == 0
        toy.may_end.set()

    watched.run(toy, config(), script)
    assert watched.said[-1] == "stopped: the sum is 42"
    assert toy.closed.is_set()
    with pytest.raises(OSError):
        watched.get("/livez")


def test_what_is_left_open_is_said(config: Config, watched: Watched) -> None:
    toy = Toy()
    toy.fails = StoppedError("stopped while it counts")
    for each in (toy.may_build, toy.may_work, toy.may_end):
        each.set()

    def script() -> None:
        wait_for(lambda: watched.get("/readyz")[0] == 200)
        watched.tell_to_stop()

    watched.run(toy, config(), script)
    assert watched.said[-1] == "stopped while it counts; the next start cleans up what is left open"
    assert not any("the sum" in line for line in watched.said)


def test_a_start_that_is_told_to_stop_ends_and_has_read_nothing(
    config: Config, watched: Watched
) -> None:
    toy = Toy()

    def script() -> None:
        wait_for(lambda: "fetching numbers" in watched.get("/readyz")[1])
        watched.tell_to_stop()

    watched.run(toy, config(), script)
    assert watched.said[-1] == "stopped while fetching numbers: nothing was read yet"
    assert toy.closed.is_set()


def test_a_process_has_a_port_of_its_own_unless_told_otherwise(
    config: Config, watched: Watched
) -> None:
    ports = [process.port for process in PROCESSES]
    assert len(set(ports)) == len(ports)
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("", 0)) as told:
        toy = Toy(own.getsockname()[1])
        other = told.getsockname()[1]
        for metrics, option, wanted in (
            ({}, None, toy.process.port),
            ({"port": other}, None, other),
            ({}, other, other),
        ):
            with pytest.raises(OSError, match=f"weir toy can't answer on port {wanted} ") as taken:
                run_service(toy.service, config(metrics=metrics), option)
            assert "in use" in str(taken.value)
            assert "--metrics-port" in str(taken.value)


def test_a_start_without_kafka_says_so_and_ends_when_told(
    start: Callable[..., Scorer], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:  # connects, never answers
        servers = f"127.0.0.1:{mute.getsockname()[1]}"
        config = write_settings(tmp_path / "weir.toml", kafka={"bootstrap_servers": servers})
        sink = start(config, "--metrics-port", "0", command="sink")
        assert sink.readiness() == (503, "not ready: reaching Kafka\n")
        assert sink.end() == 0
        assert sink.lines[-1].endswith("stopped while reaching Kafka: nothing was read yet\n")
        assert "Traceback" not in sink.log


INSISTENT = """
import sys
from weir.services.stopping import stop_on_signals
stop_on_signals(leave_on_second=True)
print("begun", flush=True)
while True:
    sys.stdin.read(1)
"""


def test_who_is_told_to_stop_again_and_again_ends_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INSISTENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        deadline = monotonic() + 60
        while process.poll() is None:
            assert monotonic() < deadline
            process.send_signal(signal.SIGTERM)
            sleep(0.1)
        assert process.returncode == 130
        assert process.stderr is not None
        assert "a second time" in process.stderr.read()
