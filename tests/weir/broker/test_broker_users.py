"""Users of the broker: where their passwords come from, and that nobody sees these."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from weir.broker import BrokerSettings
from weir.broker.config import server_properties
from weir.broker.ports import choose_ports
from weir.broker.state import Ports

SECRET = "correct=horse battery"


def test_passwords_come_from_settings_and_files_and_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}2\n")
    settings = BrokerSettings.model_validate(
        {"scram_passwords": {"admin": SECRET}, "scram_password_files": {"scorer": file}}
    )
    assert settings.scram_users() == {"admin": SECRET, "scorer": f"{SECRET}2"}
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in text
        assert "admin" in text


def test_a_client_need_not_say_a_password_again() -> None:
    client = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "admin"}
    settings = BrokerSettings.model_validate(
        {"scram_passwords": {"admin": SECRET}, "client": client}
    )
    assert settings.client_config() == client | {"sasl.password": SECRET}
    assert BrokerSettings(client=client).client_config() == client
    own = BrokerSettings.model_validate(
        {"scram_passwords": {"admin": SECRET}, "client": client | {"sasl.password": "own"}}
    )
    assert own.client_config()["sasl.password"] == "own"


def test_two_passwords_for_one_user_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    with pytest.raises(ValidationError, match="'admin' has a password in") as wrong:
        BrokerSettings.model_validate(
            {"scram_passwords": {"admin": SECRET}, "scram_password_files": {"admin": file}}
        )
    assert SECRET not in str(wrong.value)


def test_listeners_get_ports_of_their_own_and_keep_them() -> None:
    settings = BrokerSettings(port=0, listeners={"MTLS": 0, "INTERNAL": 0})
    ports = choose_ports(settings, None)
    assert len({ports.client, ports.controller, *ports.more.values()}) == 4
    assert choose_ports(settings, ports) == ports
    assert set(choose_ports(settings, Ports(ports.client, ports.controller)).more) == {
        "MTLS",
        "INTERNAL",
    }


def test_kafka_is_told_of_every_listener() -> None:
    settings = BrokerSettings(host="0.0.0.0", listeners={"MTLS": 9093})
    text = server_properties(settings, Ports(9092, 9999, {"MTLS": 9093}), Path("/topics"))
    lines = text.replace("\\", "").splitlines()
    assert (
        "listeners=CLIENT://0.0.0.0:9092,MTLS://0.0.0.0:9093,CONTROLLER://127.0.0.1:9999" in lines
    )
    assert "advertised.listeners=CLIENT://127.0.0.1:9092,MTLS://127.0.0.1:9093" in lines
