"""Who is not let in is told why and what to change, soon, and no secret with it."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest
from authority import Authority, Certificate
from secured import Secured

from streams.kafka.client import ClientSettingsError, KafkaSettings, KafkaUnavailableError, connect
from weir.broker import BrokerError
from weir.broker.users import set_passwords

PASSWORD = "not-the-right-one"
LONGEST_S = 20.0

Section = Mapping[str, Any]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the broker does not know."""
    return Authority(tmp_path_factory.mktemp("stranger") / "authority", "Somebody else")


def own(files: Certificate) -> dict[str, str]:
    return {"ssl_certificate_location": str(files.certificate), "ssl_key_location": str(files.key)}


def complaint(section: Section, kind: type[Exception] = KafkaUnavailableError) -> str:
    start = monotonic()
    with pytest.raises(kind) as refused:
        connect(KafkaSettings.model_validate(section))
    assert monotonic() - start < LONGEST_S
    for key, value in section.items():
        if key.endswith("password"):
            assert value not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("user", ["scorer", "nobody-knows-him"])
def test_a_wrong_password_and_a_wrong_user_are_one(secured: Secured, user: str) -> None:
    message = complaint(secured.with_password(user, sasl_password=PASSWORD))
    assert f"wrong user name or password for '{user}'" in message
    assert "WEIR_KAFKA__SASL_PASSWORD" in message


def test_no_password(secured: Secured) -> None:
    message = complaint(secured.with_password("scorer"), ClientSettingsError)
    assert "set kafka.sasl_username, and WEIR_KAFKA__SASL_PASSWORD" in message


def test_no_mechanism(secured: Secured) -> None:
    section = {**secured.with_password("scorer", sasl_password=PASSWORD)}
    del section["sasl_mechanism"]
    assert "set kafka.sasl_mechanism, such as" in complaint(section, ClientSettingsError)


def test_a_mechanism_that_the_cluster_does_not_know(secured: Secured) -> None:
    section = secured.with_password("scorer", sasl_password=PASSWORD, sasl_mechanism="PLAIN")
    message = complaint(section)
    assert "knows no such kafka.sasl_mechanism" in message
    assert "SCRAM-SHA-512" in message


def test_a_broker_of_an_unknown_authority(secured: Secured, stranger: Authority) -> None:
    ca = str(stranger.certificate)
    message = complaint(secured.with_certificate("scorer", ssl_ca_location=ca))
    assert "of an authority that we do not trust" in message
    assert "kafka.ssl_ca_location" in message


def test_a_broker_of_another_name(secured: Secured) -> None:
    section = secured.with_certificate("scorer")
    servers = section["bootstrap_servers"].replace("127.0.0.1", "localhost")
    message = complaint({**section, "bootstrap_servers": servers})
    assert "certificate is not for 'localhost'" in message
    assert "kafka.bootstrap_servers" in message


def test_a_certificate_that_has_expired(secured: Secured) -> None:
    files = secured.authority.issue("expired", until=timedelta(days=-1))
    message = complaint(secured.with_certificate("scorer", **own(files)))
    assert f"our certificate '{files.certificate}' expired on 20" in message
    assert "renew it" in message


def test_a_certificate_of_a_foreign_authority(secured: Secured, stranger: Authority) -> None:
    files = stranger.issue("scorer")
    message = complaint(secured.with_certificate("scorer", **own(files)))
    assert f"does not trust our certificate '{files.certificate}'" in message
    assert "'CN=Somebody else' has issued" in message


def test_no_certificate_where_one_is_asked_for(secured: Secured) -> None:
    section = {
        key: value
        for key, value in secured.with_certificate("scorer").items()
        if key not in ("ssl_certificate_location", "ssl_key_location")
    }
    assert "asks for a client certificate" in complaint(section)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_no_tls_at_a_tls_port(secured: Secured, protocol: str) -> None:
    section = secured.with_password("scorer", sasl_password=PASSWORD, security_protocol=protocol)
    message = complaint(section)
    assert "this port speaks TLS: set kafka.security_protocol to SSL, or to SASL_SSL" in message


def test_tls_at_a_plaintext_port(secured: Secured, kafka: str) -> None:
    message = complaint(secured.with_certificate("scorer", bootstrap_servers=kafka))
    assert "this port does not speak TLS" in message
    assert "PLAINTEXT" in message


def test_no_login_at_a_port_that_asks_for_one(secured: Secured) -> None:
    servers = secured.with_password("scorer")["bootstrap_servers"]
    message = complaint(secured.with_certificate("scorer", bootstrap_servers=servers))
    assert "set kafka.security_protocol to SASL_SSL" in message


def test_a_key_of_another_certificate(secured: Secured) -> None:
    key = str(secured.clients["producer"].key)
    message = complaint(
        secured.with_certificate("scorer", ssl_key_location=key), ClientSettingsError
    )
    assert "kafka.ssl_key_location is not the key of kafka.ssl_certificate_location" in message


def test_a_file_that_is_no_certificate(secured: Secured, tmp_path: Path) -> None:
    file = tmp_path / "certificate"
    file.write_text("none")
    section = secured.with_certificate("scorer", ssl_certificate_location=str(file))
    message = complaint(section, ClientSettingsError)
    assert "kafka.ssl_certificate_location holds no certificate" in message


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_key_that_is_locked(secured: Secured, password: str | None) -> None:
    files = secured.authority.issue("locked", password=b"sesame")
    section = {**secured.with_certificate("scorer", **own(files))}
    if password is not None:
        section["ssl_key_password"] = password
    assert "WEIR_KAFKA__SSL_KEY_PASSWORD" in complaint(section, ClientSettingsError)


@pytest.mark.parametrize("way", [Secured.with_password, Secured.with_certificate])
def test_the_right_ones_are_let_in(secured: Secured, way: Callable[..., Section]) -> None:
    section = {**way(secured, "admin")}
    if "sasl_username" in section:
        section["sasl_password"] = secured.passwords["admin"]
    assert connect(KafkaSettings.model_validate(section)).list_topics(timeout=10).brokers


def test_a_locked_key_with_its_password_is_let_in(secured: Secured, tmp_path: Path) -> None:
    files = secured.authority.issue("admin-too", password=b"sesame")
    (tmp_path / "password").write_text("sesame\n")
    section = secured.with_certificate(
        "scorer", **own(files), ssl_key_password_file=str(tmp_path / "password")
    )
    assert connect(KafkaSettings.model_validate(section)).list_topics(timeout=10).brokers


def test_a_user_who_is_added_later_is_let_in(secured: Secured) -> None:
    servers = secured.with_password("admin")["bootstrap_servers"]
    admin = {"bootstrap.servers": servers, **secured.settings.client_config()}
    for password in ("first", "second"):
        set_passwords(admin, {"newcomer": password})
        section = secured.with_password("newcomer", sasl_password=password)
        assert connect(KafkaSettings.model_validate(section)).list_topics(timeout=10).brokers
    complaint(secured.with_password("newcomer", sasl_password="first"))
    newcomer = admin | {"sasl.username": "newcomer", "sasl.password": "second"}
    with pytest.raises(BrokerError, match=r"let broker\.client log in as one of super\.users"):
        set_passwords(newcomer, {"admin": "mine"})


def test_the_broker_shows_no_password(secured: Secured) -> None:
    folder = secured.settings.data_dir
    for password in secured.passwords.values():
        for file in folder.rglob("*"):
            assert not (file.is_file() and password.encode() in file.read_bytes()), file
    pid = int((folder / "broker.pid").read_text().split()[0])
    assert not any(
        password in part
        for part in psutil.Process(pid).cmdline()
        for password in secured.passwords.values()
    )
    assert (folder / "server.properties").stat().st_mode & 0o077 == 0
