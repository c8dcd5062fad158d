"""The ``[store]`` section: where explanation records are kept, signed, and for how long."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, model_validator

from explain.store.errors import StoreError
from streams.base.secrets import check_one_source, secret_of
from streams.base.section import Duration, Name, Section

# Databases and cryptography are imported where they are used: settings are read by every command.
if TYPE_CHECKING:
    from sqlalchemy import URL

    from explain.store.database import Database
    from streams.base.signing import Signer, Trusted

_FILE = "explanations.db"
_KEY = "audit-key.pem"
_TLS = ("disable", "prefer", "require", "verify-full")


class StoreSettings(Section):
    """The ``[store]`` section.

    Attributes:
        url, url_file: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``; for TLS
            with ``?sslmode=``, one of disable, prefer (the default), require and verify-full, and
            ``sslrootcert=FILE``. It holds a secret: give it in a file or in the environment. By
            default SQLite in the data folder.
        anchor_every: records after which an anchor is signed, or once `anchor_after` has passed.
        keep: records of older events may be purged; by default none.
        key_file: the private key that signs; made at the first use. By default in the data folder.
        trusted_keys: public keys, in PEM, whose anchors count besides ours: those of former keys.
        group: consumer group of the sink.
        max_batch: records in one transaction of the sink.
    """

    url: SecretStr | None = None
    url_file: Path | None = None
    anchor_every: int = Field(default=1_000, ge=1)
    anchor_after: Duration = 60_000
    keep: Duration | None = None
    key_file: Path | None = None
    trusted_keys: tuple[Path, ...] = ()
    group: Name = "weir-sink"
    max_batch: int = Field(default=500, ge=1, le=10_000)

    @model_validator(mode="after")
    def _url_is_one(self) -> "StoreSettings":
        check_one_source(self, "url")
        if self.url is not None or self.url_file is not None:
            self._connection(Path())
        return self

    def open_database(self, data_dir: Path, *, make: bool = True) -> "Database":
        """The store, made at the first use, if `make`.

        Raises:
            StoreUnavailableError: the database does not answer.
            StoreError: it can't be used.
        """
        from explain.store.database import Database

        try:
            return Database(*self._connection(data_dir), make=make)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"store.url: PostgreSQL needs {error.name}: pip install 'weir[postgres]'"
            ) from error

    def open_signer(self, data_dir: Path) -> "Signer":
        """Our private key, made at the first use.

        Raises:
            StoreError: it can't be read, or others may read it.
        """
        from streams.base.signing import KeyFileError, open_signer

        try:
            return open_signer(self.key_path(data_dir))
        except KeyFileError as error:
            raise StoreError(f"store.key_file: {error}") from error

    def trusted(self, data_dir: Path, *more: Path) -> "Trusted":
        """The keys whose anchors count: ours if it is here, `trusted_keys`, and those in `more`.

        Raises:
            StoreError: there is none, or one can't be read.
        """
        from streams.base.signing import KeyFileError, Trusted, read_public

        try:
            keys = [read_public(path) for path in (*self.trusted_keys, *more)]
        except KeyFileError as error:
            raise StoreError(str(error)) from error
        if self.key_path(data_dir).exists():
            keys.append(self.open_signer(data_dir).public)
        if not keys:
            raise StoreError(
                f"store.key_file: there is no {self.key_path(data_dir)}: name a public key with "
                "--public-key FILE or store.trusted_keys; `weir audit key` writes it where the "
                "private one is"
            )
        return Trusted(keys)

    def key_path(self, data_dir: Path) -> Path:
        """Where our private key is."""
        return self.key_file or data_dir / _KEY

    def _connection(self, data_dir: Path) -> tuple["URL", dict[str, Any]]:
        """Where the database is, and the driver's further options.

        Raises:
            ValueError: the URL is none, or of another kind of database.
        """
        from sqlalchemy import URL, make_url
        from sqlalchemy.exc import ArgumentError

        text = secret_of(self, "url")
        if text is None:
            return URL.create("sqlite", database=str(data_dir / _FILE)), {}
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):  # not chained: it shows the URL
            raise ValueError(
                "url is none: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
            ) from None
        kind = url.get_backend_name()
        if kind not in ("sqlite", "postgresql"):
            raise ValueError(f"url: {kind} is not supported: use sqlite:///FILE or postgresql://…")
        if kind == "sqlite":
            return url.set(drivername="sqlite"), {}
        return _postgresql(url)


def _postgresql(url: "URL") -> tuple["URL", dict[str, Any]]:
    """The URL for our driver, which takes TLS as an object and not by name."""
    mode = url.query.get("sslmode", "prefer")
    root = url.query.get("sslrootcert")
    if mode not in _TLS:
        raise ValueError(f"url: sslmode is one of {', '.join(_TLS)}")
    unknown = set(url.query) - {"sslmode", "sslrootcert"}
    if unknown:
        raise ValueError(f"url: {min(unknown)} is not supported: only sslmode and sslrootcert are")
    plain = url.set(drivername="postgresql+pg8000", query={})
    if mode in ("disable", "prefer"):
        return plain, {"ssl_context": False if mode == "disable" else None}
    try:
        context = ssl.create_default_context(cafile=str(root) if root else None)
    except OSError as error:
        raise ValueError(f"url: sslrootcert = {root!r}: {error}") from error
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return plain, {"ssl_context": context}
