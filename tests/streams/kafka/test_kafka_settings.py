"""How to reach Kafka: what the client is told, and what a user is told when it fails."""

import socket
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from pydantic import SecretStr, ValidationError

from streams.kafka.client import KafkaSettings, KafkaUnavailableError, connect

SECRET = "hunter2"


def test_a_consumer_sees_only_what_was_committed_and_commits_nothing_by_itself() -> None:
    config = KafkaSettings(bootstrap_servers="a:1").consumer_config(group_id="g")
    assert config["bootstrap.servers"] == "a:1"
    assert config["group.id"] == "g"
    assert config["isolation.level"] == "read_committed"
    assert (config["enable.auto.commit"], config["enable.auto.offset.store"]) == (False, False)
    assert config["auto.offset.reset"] == "earliest"
    Consumer(config).close()


def test_a_producer_is_idempotent() -> None:
    config = KafkaSettings(bootstrap_servers="a:1").producer_config(transactional_id="t")
    assert config["enable.idempotence"] is True
    assert config["transactional.id"] == "t"
    assert config["message.max.bytes"] == 16_777_216
    assert config["metadata.recovery.strategy"] == "none"
    Producer(config)


def test_the_more_special_setting_wins() -> None:
    settings = KafkaSettings(
        properties={"client.id": "mine", "linger.ms": 1},
        consumer={"fetch.wait.max.ms": 7},
        producer={"linger.ms": 2, "compression.type": "zstd"},
    )
    assert settings.client_config()["client.id"] == "mine"
    consumer = settings.consumer_config(fetch_wait_max_ms=9, group_id="g")
    assert (consumer["fetch.wait.max.ms"], consumer["group.id"]) == (7, "g")
    assert "compression.type" not in consumer
    producer = settings.producer_config(linger_ms=3)
    assert (producer["linger.ms"], producer["compression.type"]) == (2, "zstd")


def test_security_settings_reach_the_client(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text("x")
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="me",
        sasl_password=SecretStr(SECRET),
        ssl_ca_location=tmp_path / "ca",
        ssl_certificate_location=tmp_path / "cert",
        ssl_key_location=tmp_path / "key",
        ssl_key_password=SecretStr(SECRET + "2"),
    )
    config = settings.client_config()
    assert {name: config[name] for name in config if "." in name and "ssl" in name} == {
        "ssl.ca.location": str(tmp_path / "ca"),
        "ssl.certificate.location": str(tmp_path / "cert"),
        "ssl.key.location": str(tmp_path / "key"),
        "ssl.key.password": SECRET + "2",
    }
    assert config["security.protocol"] == "SASL_SSL"
    assert (config["sasl.mechanism"], config["sasl.username"]) == ("SCRAM-SHA-512", "me")
    assert config["sasl.password"] == SECRET
    for shown in (str(settings), repr(settings), settings.model_dump_json()):
        assert SECRET not in shown
        assert "SCRAM-SHA-512" in shown


ADMIN = {
    "security.protocol": "SASL_SSL",
    "ssl.ca.location": "/ca.pem",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "admin",
    "sasl.password": SECRET,
}


def test_who_names_no_login_takes_that_of_the_local_broker() -> None:
    config = KafkaSettings(properties={"client.id": "mine"}).at("a:1", ADMIN).client_config()
    del config["reconnect.backoff.max.ms"]
    assert config == {"bootstrap.servers": "a:1", "client.id": "mine", "log_level": 0} | ADMIN


@pytest.mark.parametrize(
    "own",
    [
        {"sasl_username": "scorer"},
        {"sasl_username": "scorer", "sasl_password": "own", "sasl_mechanism": "SCRAM-SHA-256"},
        {"properties": {"sasl.username": "scorer"}},
        {"properties": {"ssl.certificate.pem": "mine"}},
    ],
)
def test_who_names_a_login_gets_nothing_of_the_administrators(own: dict[str, Any]) -> None:
    config = KafkaSettings.model_validate(own).at("a:1", ADMIN).client_config()
    assert SECRET not in config.values()
    assert "admin" not in config.values()
    assert config["security.protocol"] == "SASL_SSL"
    assert config["ssl.ca.location"] == "/ca.pem"
    assert config["sasl.mechanism"] == own.get("sasl_mechanism", "SCRAM-SHA-512")


def test_explicit_settings_win_over_those_of_the_local_broker(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("x")
    own = KafkaSettings(security_protocol="SSL", ssl_ca_location=tmp_path / "ca")
    config = own.at("a:1", ADMIN).client_config()
    assert config["security.protocol"] == "SSL"
    assert config["ssl.ca.location"] == str(tmp_path / "ca")


def test_a_password_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    settings = KafkaSettings(sasl_password_file=tmp_path / "password")
    assert settings.client_config()["sasl.password"] == SECRET
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    "name",
    ["sasl_password_file", "ssl_ca_location", "ssl_certificate_location", "ssl_key_location"],
)
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=f"{name}: there is no file '{tmp_path}/none'"):
        KafkaSettings.model_validate({name: tmp_path / "none"})


def test_two_passwords_are_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    with pytest.raises(ValidationError, match="not both"):
        KafkaSettings(sasl_password=SecretStr("a"), sasl_password_file=tmp_path / "password")


def complaint(settings: KafkaSettings, timeout_s: float) -> str:
    start = monotonic()
    with pytest.raises(KafkaUnavailableError) as error:
        connect(settings, timeout_s)
    assert monotonic() - start < timeout_s + 5
    return str(error.value)


def test_a_port_where_nobody_listens_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    message = complaint(KafkaSettings(bootstrap_servers=address), 8)
    assert address in message
    assert "refused" in message
    assert "kafka.bootstrap_servers" in message
    assert "weir broker start" in message


def test_a_host_that_does_not_exist_is_told() -> None:
    message = complaint(KafkaSettings(bootstrap_servers="kafka.invalid:9092"), 8)
    assert "kafka.invalid" in message
    assert "resolve" in message


def test_something_else_that_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        held: list[Any] = []
        threading.Thread(target=lambda: held.append(server.accept()), daemon=True).start()
        message = complaint(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"), 2)
        for connection, _ in held:
            connection.close()
    assert f"127.0.0.1:{port}" in message


def test_the_wrong_security_is_told(kafka: str) -> None:
    settings = KafkaSettings(
        bootstrap_servers=kafka,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="me",
        sasl_password=SecretStr(SECRET),
    )
    message = complaint(settings, 6)
    assert "SASL_PLAINTEXT" in message
    assert SECRET not in message


def test_a_cluster_that_answers(kafka: str) -> None:
    admin = connect(KafkaSettings(bootstrap_servers=kafka))
    assert admin.list_topics(timeout=10).brokers
