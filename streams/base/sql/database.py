"""A database: SQLite with one writer, or PostgreSQL; what goes wrong with it, in our words."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from ssl import SSLError
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import SQLAlchemyError as AnyError

from streams.base.closing import ClosedAtEnd
from streams.base.errors import WeirError

_BUSY_S = 30.0
_NETWORK_S = 60.0

_PASSING = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that waiting fixes: connection, serialisation, resources, locks, restarts."""
_FILE_TROUBLE = ("malformed", "not a database", "readonly", "no such", "syntax error")
"""What SQLite says under one name with "locked" and "disk is full", and waiting does not fix."""


class SqlDatabase(ClosedAtEnd):
    """Connections to a database; a context manager. A subclass says whose it is.

    Args:
        make: whether SQLite's file is made, where there is none.

    Attributes:
        setting: the key of the settings that names it.
        maker: the command that makes it.
        failed, unavailable: what is raised where it can't be used, and where waiting may help.
        writer: PostgreSQL's advisory lock of whoever writes.
        place: where it is, without secrets, for messages.
        file: that of SQLite; None for PostgreSQL.

    Raises:
        WeirError: `failed`: SQLite's file can't be had.
    """

    setting: ClassVar[str]
    maker: ClassVar[str]
    failed: ClassVar[type[WeirError]]
    unavailable: ClassVar[type[WeirError]]
    writer: ClassVar[int]

    def __init__(
        self, url: URL, connect: dict[str, Any] | None = None, *, make: bool = True
    ) -> None:
        self.place = url.render_as_string(hide_password=True)
        self.file: Path | None = None
        options = connect or {}
        if url.get_backend_name() == "sqlite":
            self.file = self._find_file(url, make)
            self._engine = create_engine(url, connect_args={"timeout": _BUSY_S, **options})
            event.listen(self._engine, "connect", _configure)
            event.listen(self._engine, "begin", _begin)
        else:
            self._engine = create_engine(
                url, pool_pre_ping=True, connect_args={"timeout": _NETWORK_S, **options}
            )

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of all tables, whatever others write meanwhile.

        Raises:
            WeirError: `failed` or `unavailable`.
        """
        options: dict[str, Any] = {}
        if self.file is None:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._explained(), self._engine.connect() as connection:
            connection = connection.execution_options(**options)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, while nobody else does; committed at the end of the block.

        Raises:
            WeirError: `failed` or `unavailable`; whether a failed commit was carried out is not
                known then.
        """
        with self._explained(), self._engine.connect() as connection:
            connection = connection.execution_options(weir_writes=True)
            with connection.begin():
                if self.file is None:
                    lock = text("SELECT pg_advisory_xact_lock(:id)")
                    connection.execute(lock, {"id": self.writer})
                yield connection

    def forget(self) -> None:
        """Empty SQLite's log, which still has what was erased; PostgreSQL vacuums by itself.

        Raises:
            WeirError: `failed` or `unavailable`.
        """
        if self.file is not None:
            with self._explained(), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = f"{self.setting}: {self.place}"
        try:
            yield
        except DBAPIError as error:
            said = _said(error)
            if _passes(error, said):
                raise self.unavailable(f"{where}: {said}") from error
            raise self.failed(f"{where}: {said}") from error
        except (SSLError, ConnectionError, TimeoutError) as error:  # as PostgreSQL's driver has it
            kind = self.failed if isinstance(error, SSLError) else self.unavailable
            raise kind(f"{where}: {error}") from error
        except (AnyError, OverflowError) as error:  # SQLite has numbers of 64 bits
            raise self.failed(f"{where}: {error}") from error

    def _find_file(self, url: URL, make: bool) -> Path:
        """Make the file before SQLite does, if `make`: what it holds is nobody else's business."""
        if not url.database or url.database == ":memory:":
            raise self.failed(f"{self.setting}: a store in memory would forget all: name a file")
        path = Path(url.database)
        if not make and not path.exists():
            raise self.failed(
                f"{self.setting}: {path}: there is no such file: `{self.maker}` makes the store"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=True)
        except OSError as error:
            raise self.failed(
                f"{self.setting}: {path}: {error.strerror}: name another file"
            ) from error
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
