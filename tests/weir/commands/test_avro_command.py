"""`weir score` on events in Avro, their schema behind mutual TLS."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from authority import Authority
from confluent_kafka import Producer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from front_door import Trained, write_settings
from running_scorer import Scorer

from inference.evaluation.topic_reading import read_scores
from tests.registry_server import Registry
from weir.config.settings import load_settings

COUNT = 500
HOST = "127.0.0.1"
FIELDS = {
    "transaction_id": "long",
    "customer_id": "long",
    "terminal_id": "long",
    "merchant_category": "string",
    "amount": "double",
    "time": {"type": "long", "logicalType": "timestamp-micros"},
}
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Transaction",
        "fields": [{"name": name, "type": kind} for name, kind in FIELDS.items()],
    }
)


class Door:
    """TLS in front of a server that has none; who has no certificate does not get in.

    Attributes:
        client: settings of one who has.
    """

    def __init__(self, authority: Authority, port: int) -> None:
        own = authority.issue("registry", HOST)
        self._tls = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate
        )
        self._tls.load_cert_chain(own.certificate, own.key)
        self._tls.verify_mode = ssl.CERT_REQUIRED
        client = authority.issue("scorer", password=b"hush-hush")
        password = client.key.with_name("password")
        password.write_text("hush-hush")
        self.client = {
            "ssl_ca_location": str(authority.certificate),
            "ssl_certificate_location": str(client.certificate),
            "ssl_key_location": str(client.key),
            "ssl_key_password_file": str(password),
        }
        self._behind = port
        self._socket = socket.create_server((HOST, 0))
        self.url = f"https://{HOST}:{self._socket.getsockname()[1]}"
        self.refused = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            try:
                guest = self._tls.wrap_socket(raw, server_side=True)
            except OSError:
                self.refused += 1
                continue
            inside = socket.create_connection((HOST, self._behind))
            for way in ((guest, inside), (inside, guest)):
                threading.Thread(target=_pass_on, args=way, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass
    target.close()


@pytest.fixture
def door(schema_registry: Registry, tmp_path: Path) -> Iterator[Door]:
    door = Door(Authority(tmp_path / "authority", "Weir's tests"), schema_registry.port)
    yield door
    door.close()


def test_events_in_avro_are_scored(
    config: Callable[..., Path],
    trained: Trained,
    schema_registry: Registry,
    door: Door,
    start: Callable[..., Scorer],
) -> None:
    event = load_settings(write_settings(trained.folder / "weir.toml")).event
    path = config(
        event=event.model_dump(exclude_defaults=True) | {"format": "avro"},
        schema_registry={"url": f"{door.url}/apis/ccompat/v7", **door.client},
    )
    settings = load_settings(path)
    assert "hush" not in f"{settings} {settings!r}"
    scorer = start(path)
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)
    assert "weir_schema_registry_up" not in scorer.metrics()  # nobody has asked it yet
    write = AvroSerializer(schema_registry.client(), SCHEMA)
    context = SerializationContext(settings.topics.events, MessageField.VALUE)
    producer = Producer(settings.kafka.producer_config())
    for row in pq.read_table(trained.events).slice(0, COUNT).to_pylist():
        row["time"] = int(row["time"].timestamp() * 1_000_000)
        producer.produce(settings.topics.events, write(row, context), str(row["customer_id"]))
    producer.produce(settings.topics.events, b"{}")
    assert producer.flush(60) == 0
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT)
    scorer.wait_for(lambda: scorer.metrics().get("weir_dead_letters_total:bad_frame") == 1)
    assert scorer.metrics()["weir_schema_registry_up"] == 1
    assert scorer.end() == 0
    assert "hush" not in scorer.log
    assert "HTTP" not in scorer.log
    scores = read_scores(settings.kafka, settings.topics.scores)
    assert (len(scores.ids), scores.duplicates) == (COUNT, 0)
    assert door.refused == 0
