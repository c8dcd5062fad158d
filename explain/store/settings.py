"""The ``[store]`` section: where explanation records are kept, signed, and for how long."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, model_validator

from explain.store.errors import StoreError
from streams.base.secrets import check_one_source, secret_of
from streams.base.section import Duration, Name, Section
from streams.base.sql.url import read_url

# Databases and cryptography are imported where they are used: settings are read by every command.
if TYPE_CHECKING:
    from sqlalchemy import URL

    from explain.store.database import Database
    from explain.store.keys import Trusted, TrustedKey
    from streams.base.signing import Signer

_FILE = "explanations.db"
KEY_NAME = "audit-key.pem"


class TrustedKeyEntry(Section):
    """One of ``store.trusted_keys``.

    Attributes:
        file: the public key in PEM.
        since, until: numbers of the first and the last anchor that it may have signed; or the times
            from which on, and before which. By default any.
        shares: whether it signs beside ours, as that of a second sink does; else it is a former
            one.
    """

    file: Path
    since: int | datetime | date | None = None
    until: int | datetime | date | None = None
    shares: bool = False

    def read(self) -> "TrustedKey":
        """The key and its range.

        Raises:
            KeyFileError: the file holds none.
        """
        from explain.store.keys import TrustedKey
        from streams.base.signing import read_public

        since, until = self.since, self.until
        return TrustedKey(
            read_public(self.file),
            first=since if isinstance(since, int) else 1,
            last=until if isinstance(until, int) else None,
            from_ms=None if isinstance(since, int) else _utc_ms(since),
            to_ms=None if isinstance(until, int) else _utc_ms(until),
            shares=self.shares,
        )


def _utc_ms(when: datetime | date | None) -> int | None:
    if when is None:
        return None
    if not isinstance(when, datetime):
        when = datetime.combine(when, time())
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1_000)


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
        trusted_keys: public keys whose anchors count besides ours: files of former keys in PEM, or
            `TrustedKeyEntry`, which says for how long, and of whom else.
        group: consumer group of the sink.
        max_batch: records in one transaction of the sink.
        witness_topic: the sink writes each signed anchor there, too; empty for none.
    """

    url: SecretStr | None = None
    url_file: Path | None = None
    anchor_every: int = Field(default=1_000, ge=1)
    anchor_after: Duration = 60_000
    keep: Duration | None = None
    key_file: Path | None = None
    trusted_keys: tuple[Path | TrustedKeyEntry, ...] = ()
    group: Name = "weir-sink"
    max_batch: int = Field(default=500, ge=1, le=10_000)
    witness_topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=249)] = ""

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

        path = self.key_path(data_dir)
        key = path if self.key_file is not None or path.exists() else None
        try:
            return Database(*self._connection(data_dir), make=make, key=key)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"store.url: PostgreSQL needs {error.name}: pip install 'weir[postgres]'"
            ) from error

    def open_signer(self, data_dir: Path) -> "Signer":
        """Our private key, made at the first use.

        Raises:
            StoreError: it can't be read, or others may read it.
        """
        from explain.store.keys import open_signer

        return open_signer(self.key_path(data_dir))

    def trusted(self, data_dir: Path, *more: Path) -> "Trusted":
        """The keys whose anchors count: ours if it is here, those in `more`, and `trusted_keys`.

        The first of them is the one in use, the others are former ones.

        Raises:
            StoreError: there is none, or one can't be read.
        """
        from explain.store.keys import Trusted, TrustedKey
        from streams.base.signing import KeyFileError

        entries = [
            each if isinstance(each, TrustedKeyEntry) else TrustedKeyEntry(file=each)
            for each in (*more, *self.trusted_keys)
        ]
        try:
            keys = [each.read() for each in entries]
        except KeyFileError as error:
            raise StoreError(f"store.trusted_keys: {error}") from error
        if self.key_path(data_dir).exists():
            ours = self.open_signer(data_dir).public
            # Where it is listed, too, what stands there of how long it is trusted holds.
            listed = [key for key in keys if key.public == ours]
            others = [key for key in keys if key.public != ours]
            keys = [*(listed or [TrustedKey(ours)]), *others]
        if not keys:
            raise StoreError(
                f"store.key_file: there is no {self.key_path(data_dir)}: name a public key with "
                "--public-key FILE or store.trusted_keys; `weir audit key` writes it where the "
                "private one is"
            )
        return Trusted(keys)

    @property
    def is_default(self) -> bool:
        """Whether the store is the SQLite file of the data folder."""
        return self.url is None and self.url_file is None

    def default_file(self, data_dir: Path) -> Path:
        """Where that file is."""
        return data_dir / _FILE

    def may_hold(self, data_dir: Path) -> bool:
        """Whether anything may have been stored: by default the store is made by who first does."""
        return not self.is_default or self.default_file(data_dir).exists()

    def key_path(self, data_dir: Path) -> Path:
        """Where our private key is."""
        return self.key_file or data_dir / KEY_NAME

    def _connection(self, data_dir: Path) -> tuple["URL", dict[str, Any]]:
        """Where the database is, and the driver's further options.

        Raises:
            ValueError: the URL is none, or of another kind of database.
        """
        from sqlalchemy import URL

        text = secret_of(self, "url")
        if text is None:
            return URL.create("sqlite", database=str(self.default_file(data_dir))), {}
        return read_url(text)
