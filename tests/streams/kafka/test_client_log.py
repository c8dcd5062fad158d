"""What Kafka's client says becomes our log; a broker that is away is one sentence for them all."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from deaf_proxy import DeafProxy

from streams.kafka.client import KafkaSettings
from streams.kafka.connection import broker_watch, client_log
from streams.kafka.connection.client_log import ClientLog
from streams.kafka.records.publisher import Publisher


class Clients:
    """One of each kind, as a process of ours has them."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._consumer = Consumer(settings.consumer_config(group_id="watched"))
        self._consumer.subscribe(["no-such-topic"])
        self._publisher = Publisher(settings)
        self._transactional = Producer(settings.producer_config(transactional_id="watched"))
        self._admin = AdminClient(settings.client_config())

    def poll_until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + 60
        while not condition():
            assert monotonic() < deadline, "waited in vain"
            self._consumer.consume(10, 0.1)
            self._publisher.poll()
            self._transactional.poll(0)
            self._admin.poll(0)

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def clients() -> Iterator[Callable[[str], Clients]]:
    made: list[Clients] = []

    def make(servers: str) -> Clients:
        made.append(Clients(KafkaSettings(bootstrap_servers=servers)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def unused_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What someone reads who has changed nothing about the log."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.INFO]


def watches(address: str) -> int:
    return sum(each.name == f"watching {address}" for each in threading.enumerate())


def test_an_outage_is_one_sentence_and_its_end_another(
    kafka: str,
    clients: Callable[[str], Clients],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = DeafProxy(int(kafka.rpartition(":")[2]))
    address = f"127.0.0.1:{proxy.port}"
    proxy.lose_answers()
    ours = clients(address)
    ours.poll_until(lambda: bool(said(caplog)))
    assert address in broker_watch.unreachable()  # clients of other tests may look for others
    proxy.let_in()
    ours.poll_until(lambda: any("again after" in line for line in said(caplog)))
    ours.poll_until(lambda: not watches(address))
    assert address not in broker_watch.unreachable()
    proxy.close()
    first, last = (line for line in said(caplog) if address in line)
    assert first == f"Kafka at {address} can't be reached (no answer): trying again"
    assert last.startswith(f"Kafka at {address} can be reached again after ")
    # All of them said so themselves, and more than once.
    hints = {each.args[1] for each in caplog.records if each.args and "FAIL" in each.args}
    assert len(hints) == 3
    assert "rdkafka" not in capfd.readouterr().err


def test_the_reason_is_said_without_the_client_s_own_frame(
    clients: Callable[[str], Clients], caplog: pytest.LogCaptureFixture
) -> None:
    address = unused_address()
    ours = clients(address)
    ours.poll_until(lambda: bool(said(caplog)))
    assert said(caplog) == [
        f"Kafka at {address} can't be reached (Connection refused): trying again"
    ]


def test_a_broker_that_answers_was_not_away(kafka: str, caplog: pytest.LogCaptureFixture) -> None:
    """Such as one that closed an idle connection, or of which an old line comes late."""
    caplog.set_level(logging.DEBUG)
    address = kafka.replace("localhost", "127.0.0.1")
    log = ClientLog({"bootstrap.servers": address})
    log.log(logging.ERROR, "", "FAIL", "consumer", f"[thrd:x]: {address}/1: Disconnected")
    deadline = monotonic() + 60
    while watches(address):
        assert monotonic() < deadline
    assert address in broker_watch._answered_at  # it was looked at
    assert said(caplog) == []


def test_other_lines_are_ours_at_their_level(caplog: pytest.LogCaptureFixture) -> None:
    settings = KafkaSettings(bootstrap_servers=unused_address(), consumer={"linger.ms": 7})
    consumer = Consumer(settings.consumer_config(group_id="watched"))
    deadline = monotonic() + 60
    while not caplog.records:
        assert monotonic() < deadline
        consumer.poll(0.05)
    consumer.close()
    record = caplog.records[0]
    assert record.levelno == logging.WARNING
    assert "is a producer property" in record.getMessage()
    assert "[thrd" not in record.getMessage()


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: no", "127.0.0.1:9092"),
        ("sasl_ssl://kafka-1.example:9093/2: SSL handshake failed", "kafka-1.example:9093"),
        ("GroupCoordinator: broker:9092: Disconnected while requesting", "broker:9092"),
        ("ssl://[::1]:9093/bootstrap: Connect to ipv6#[::1]:9093 failed: no", "[::1]:9093"),
        ("3/3 brokers are down", None),
    ],
)
def test_the_broker_is_read_from_the_line(
    line: str, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspected: list[str] = []
    monkeypatch.setattr(client_log, "suspect", lambda address, _: suspected.append(address))
    ClientLog({}).log(logging.ERROR, "", "FAIL", "consumer", f"[thrd:main]: {line}")
    assert suspected == ([] if address is None else [address])
