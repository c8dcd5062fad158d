"""Secrets are shown to nobody, and a file that holds none is an error."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.base.masking import without_logins
from streams.kafka.client import KafkaSettings
from weir.broker import BrokerSettings

SECRET = "correct-horse-battery"


def settings_with_secrets(folder: Path) -> list[KafkaSettings | BrokerSettings]:
    file = folder / "password"
    file.write_text(SECRET + "\n")
    jaas = {"sasl.jaas.config": f'password="{SECRET}";', "ssl.keystore.password": SECRET}
    return [
        KafkaSettings(sasl_password=SECRET, ssl_key_password=SECRET),
        KafkaSettings(sasl_password_file=file, ssl_key_password_file=file),
        KafkaSettings(properties={"sasl.oauthbearer.config": SECRET}, consumer=jaas, producer=jaas),
        BrokerSettings(properties=jaas, client={"sasl.password": SECRET}),
    ]


def test_nobody_is_shown_a_secret(tmp_path: Path) -> None:
    for settings in settings_with_secrets(tmp_path):
        for text in (repr(settings), str(settings), settings.model_dump_json(), f"{settings}"):
            assert SECRET not in text
            assert SECRET[:6] not in text


@pytest.mark.parametrize("kind", [KafkaSettings, BrokerSettings])
@pytest.mark.parametrize(
    "values",
    [
        {"sasl_pasword": SECRET},
        {"properties": SECRET},
        {"client": SECRET},
        {"sasl_password": SECRET, "sasl_password_file": "here"},
    ],
)
def test_nor_does_an_error_show_it(kind: type[KafkaSettings], values: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as wrong:
        kind.model_validate(values)
    assert SECRET[:6] not in str(wrong.value)


def test_the_client_is_told(tmp_path: Path) -> None:
    _, from_files, *_ = settings_with_secrets(tmp_path)
    assert isinstance(from_files, KafkaSettings)
    config = from_files.client_config()
    assert (config["sasl.password"], config["ssl.key.password"]) == (SECRET, SECRET)


@pytest.mark.parametrize("key", ["sasl_password_file", "ssl_key_password_file"])
@pytest.mark.parametrize(
    ("content", "words"), [(None, "no file"), (b"\n", "is empty"), (b"\xff", "can't be read")]
)
def test_a_file_without_a_secret_is_named(
    tmp_path: Path, key: str, content: bytes | None, words: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValidationError, match=words) as wrong:
        KafkaSettings.model_validate({key: file})
    assert key in str(wrong.value)
    assert str(file) in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"API request to http://clerk:{SECRET}@mlflow:5000/api failed",
            "to http://***@mlflow:5000/api",
        ),
        (f"at https://{SECRET}@host: refused", "at https://***@host: refused"),
        (f"http://a:{SECRET}@h1:1, http://b:{SECRET}@h2:2", "http://***@h1:1, http://***@h2:2"),
        (f"postgresql+pg8000://me:p@{SECRET}@host/db", "postgresql+pg8000://***@host/db"),
        (f"http://me:it's/{SECRET}@host/api", "http://***@host/api"),
    ],
)
def test_the_logins_of_urls_are_masked(text: str, shown: str) -> None:
    assert SECRET not in without_logins(text)
    assert shown in without_logins(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8081/models@champion",
        "sqlite:///var/registry.db",
        "ask me@example.com, http://h",
    ],
)
def test_what_is_no_login_stays(text: str) -> None:
    assert without_logins(text) == text
