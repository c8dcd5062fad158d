"""The database of a store: SQLite with one writer, or PostgreSQL."""

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from ssl import SSLError
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import SQLAlchemyError as AnyError

from explain.store.errors import StoreError, StoreUnavailableError, TamperedError
from explain.store.keys import open_signer
from explain.store.roles.sql import WRITER
from explain.store.settings import KEY_NAME
from explain.store.tables import LAYOUT, acts, anchors, metadata, records, stores
from streams.base.clock import now_ms
from streams.base.closing import ClosedAtEnd
from streams.base.signing import Signer

_BUSY_S = 30.0
_NETWORK_S = 60.0

_PASSING = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that waiting fixes: connection, serialisation, resources, locks, restarts."""
_FILE_TROUBLE = ("malformed", "not a database", "readonly", "no such", "syntax error")
"""What SQLite says under one name with "locked" and "disk is full", and waiting does not fix."""


class Database(ClosedAtEnd):
    """A store's tables, made at the first use; a context manager.

    Args:
        key: of the private key that signs; for SQLite by default the one beside the file.

    Attributes:
        id: which store this is, 32 hex digits.
        place: where it is, without secrets, for messages.

    Raises:
        StoreUnavailableError: the database does not answer.
        StoreError: it can't be used.
    """

    def __init__(
        self,
        url: URL,
        connect: dict[str, Any] | None = None,
        *,
        make: bool = True,
        key: Path | None = None,
    ) -> None:
        self._key = key
        self.place = url.render_as_string(hide_password=True)
        self._is_sqlite = url.get_backend_name() == "sqlite"
        if self._is_sqlite:
            file = _find_file(url, make)
            self._key = key or file.with_name(KEY_NAME)
            self._engine = create_engine(url, connect_args={"timeout": _BUSY_S, **(connect or {})})
            event.listen(self._engine, "connect", _configure)
            event.listen(self._engine, "begin", _begin)
        else:
            self._engine = create_engine(
                url, pool_pre_ping=True, connect_args={"timeout": _NETWORK_S, **(connect or {})}
            )
        self.id = self._identify(make)

    def signer(self) -> Signer | None:
        """The key that signs this store, if it is here and ours to read; it is never made here.

        Raises:
            StoreError: others may read it, or it is none.
        """
        if self._key is None or not os.access(self._key, os.R_OK):
            return None
        return open_signer(self._key)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of all tables, whatever others write meanwhile.

        Raises:
            StoreUnavailableError, StoreError: the database failed.
        """
        options: dict[str, Any] = {}
        if not self._is_sqlite:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._explained(), self._engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that appends, while nobody else does; committed at the end of the block.

        Raises:
            StoreUnavailableError, StoreError: the database failed; whether a failed commit was
                carried out is not known then.
        """
        with self._explained(), self._engine.connect() as connection:
            connection = connection.execution_options(weir_writes=True)
            with connection.begin():
                if not self._is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": WRITER})
                yield connection

    def forget(self) -> None:
        """Empty SQLite's log, which still has what was erased; PostgreSQL vacuums by itself.

        Raises:
            StoreUnavailableError, StoreError: the database failed.
        """
        if self._is_sqlite:
            with self._explained(), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def run_script(self, sql: str) -> None:
        """Run statements of PostgreSQL, as one transaction.

        Raises:
            StoreUnavailableError, StoreError: the database failed, or is SQLite.
        """
        if self._is_sqlite:
            raise StoreError(
                f"store.url: {self.place} is SQLite, where whoever may read the file may do "
                "anything with it: roles need PostgreSQL"
            )
        with self.writing() as connection:
            connection.exec_driver_sql(sql)

    def _identify(self, make: bool) -> str:
        known = None
        with suppress(*[StoreError] if make else []), self.reading() as connection:
            known = connection.execute(select(stores)).first()
        if known is None:
            with self.writing() as connection:
                metadata.create_all(connection)
                known = connection.execute(select(stores)).first()
                if known is None:
                    _refuse_filled(connection, self.place)
                    made = {"id": uuid.uuid4().hex, "layout": LAYOUT, "made": now_ms()}
                    connection.execute(insert(stores), made)
                    known = connection.execute(select(stores)).one()
        if known.layout != LAYOUT:
            raise StoreError(
                f"store.url: {self.place} has tables of layout {known.layout}, and this version of "
                f"Weir knows {LAYOUT}: use the version that made them"
            )
        return str(known.id)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            said = _said(error)
            if _passes(error, said):
                raise StoreUnavailableError(f"store.url: {self.place}: {said}") from error
            raise StoreError(f"store.url: {self.place}: {said}") from error
        except (SSLError, ConnectionError, TimeoutError) as error:  # as PostgreSQL's driver has it
            kind = StoreError if isinstance(error, SSLError) else StoreUnavailableError
            raise kind(f"store.url: {self.place}: {error}") from error
        except (AnyError, OverflowError) as error:  # SQLite has numbers of 64 bits
            raise StoreError(f"store.url: {self.place}: {error}") from error


def _refuse_filled(connection: Connection, place: str) -> None:
    """A store with rows has forgotten which one it is: with a new id, none of its hashes fits."""
    for table in (records, acts, anchors):
        if connection.execute(select(table).limit(1)).first() is not None:
            raise TamperedError(
                f"store.url: {place} does not say any more which store it is: the row of "
                "weir_store is gone; its id is in every anchor"
            )


def _find_file(url: URL, make: bool) -> Path:
    """Make the file before SQLite does, if `make`: what it holds is nobody else's business."""
    if not url.database or url.database == ":memory:":
        raise StoreError("store.url: a store in memory would forget all: name a file")
    path = Path(url.database)
    if not make and not path.exists():
        raise StoreError(f"store.url: {path}: there is no such file: `weir sink` makes the store")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store.url: {path}: {error.strerror}: name another file") from error
    return path


def _configure(connection: Any, _: Any) -> None:
    # The driver would begin transactions by itself, and only at the first change.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # Kafka's offsets are committed after a commit here, so that has to survive a loss of power.
    connection.execute("PRAGMA synchronous = FULL")
    # What is erased is overwritten, rather than left in free pages.
    connection.execute("PRAGMA secure_delete = ON")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("weir_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _said(error: DBAPIError) -> str:
    """The driver's own words, in one line."""
    first = error.orig.args[0] if error.orig is not None and error.orig.args else error.orig
    if isinstance(first, dict):  # PostgreSQL's fields by letter: M is the message
        return str(first.get("M", first))
    return (str(first).splitlines() or [type(error.orig).__name__])[0]


def _passes(error: DBAPIError, said: str) -> bool:
    """Whether waiting may fix it."""
    first = error.orig.args[0] if error.orig is not None and error.orig.args else None
    if isinstance(first, dict):
        return str(first.get("C", "")).startswith(_PASSING)
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    return isinstance(error, OperationalError) and not any(word in said for word in _FILE_TROUBLE)
