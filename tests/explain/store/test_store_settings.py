"""The ``[store]`` section and the key file: what a user may get wrong, and what is never shown."""

import os
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from explain.store.errors import StoreError
from explain.store.settings import StoreSettings
from streams.base.signing import KeyFileError, open_signer, read_public
from tests.postgres_server import Postgres

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://weir:{PASSWORD}@host", None),
        (f"postgresql://weir:{PASSWORD}@host/db?sslmode=verify-full", None),
        (f"postgresql://weir:{PASSWORD}@host/db?sslmode=perhaps", "sslmode is one of disable"),
        (f"postgresql://weir:{PASSWORD}@host/db?options=x", "options is not supported"),
        (f"mysql://weir:{PASSWORD}@host/db", "mysql is not supported"),
        (f"weir:{PASSWORD}@host", "postgresql://USER:PASSWORD@HOST/DATABASE"),
    ],
)
def test_a_url_is_checked_and_its_password_never_shown(url: str, says: str | None) -> None:
    if says is None:
        settings = StoreSettings(url=url)
        shown = f"{settings!r} {settings} {settings.model_dump()}"
    else:
        with pytest.raises(ValidationError, match=says) as error:
            StoreSettings(url=url)
        shown = f"{error.value} {error.value.__cause__} {error.value.__context__}"
    assert PASSWORD not in shown


def test_a_url_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"sqlite:///{tmp_path / 'mine.db'}\n")
    with StoreSettings(url_file=file).open_database(tmp_path) as database:
        assert "mine.db" in database.place
    with pytest.raises(ValidationError, match="url or url_file, not both"):
        StoreSettings(url_file=file, url="sqlite:///x.db")
    with pytest.raises(StoreError, match="memory"):
        StoreSettings(url="sqlite://").open_database(tmp_path)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"postgresql://weir:{PASSWORD}@127.0.0.1:1/db")
    with pytest.raises(StoreError, match=r"weir:\*\*\*@127.0.0.1:1/db") as error:
        settings.open_database(tmp_path)
    assert PASSWORD not in str(error.value)


def test_a_connection_may_be_encrypted_and_the_server_checked(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.database()
    for options, encrypted in (
        ("", True),
        ("?sslmode=disable", False),
        ("?sslmode=require", True),
        (f"?sslmode=verify-full&sslrootcert={postgres.certificate}", True),
    ):
        with (
            StoreSettings(url=url + options).open_database(tmp_path) as database,
            database.reading() as connection,
        ):
            asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert connection.exec_driver_sql(asked).scalar() is encrypted
    with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
        StoreSettings(url=url + "?sslmode=verify-full").open_database(tmp_path)
    with pytest.raises(ValidationError, match="sslrootcert"):
        StoreSettings(url=url + "?sslmode=verify-full&sslrootcert=/none")


def test_the_key_is_made_once_and_readable_to_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(open_signer(path).id)) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["key.pem"]
    public = tmp_path / "public.pem"
    public.write_text(open_signer(path).public_pem())
    assert read_public(public) == open_signer(path).public


def test_a_key_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    open_signer(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        open_signer(path)
    path.chmod(0o600)
    path.write_text("hello")
    with pytest.raises(KeyFileError, match="holds no private key"):
        open_signer(path)
    foreign = rsa.generate_private_key(65537, 2048)
    path.write_bytes(foreign.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyFileError, match="no Ed25519"):
        open_signer(path)
    path.write_bytes(
        foreign.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(KeyFileError, match="no Ed25519"):
        read_public(path)
    with pytest.raises(KeyFileError, match=r"nowhere.pem"):
        read_public(tmp_path / "nowhere.pem")


def test_no_key_at_all_can_verify_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--public-key FILE"):
        StoreSettings().trusted(tmp_path)
    own = StoreSettings().open_signer(tmp_path)
    assert own.id in StoreSettings().trusted(tmp_path)
    (tmp_path / "old.pem").write_text(own.public_pem())
    other = StoreSettings(key_file=tmp_path / "new.pem", trusted_keys=(tmp_path / "old.pem",))
    assert own.id in other.trusted(tmp_path)
