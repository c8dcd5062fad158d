"""The database of a store: SQLite with one writer, or PostgreSQL."""

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, insert, select

from explain.store.errors import StoreError, StoreUnavailableError, TamperedError
from explain.store.keys import open_signer
from explain.store.roles.sql import WRITER
from explain.store.settings import KEY_NAME
from explain.store.tables import LAYOUT, acts, anchors, metadata, records, stores
from streams.base.clock import now_ms
from streams.base.signing import Signer
from streams.base.sql.database import SqlDatabase


class Database(SqlDatabase):
    """A store's tables, made at the first use; a context manager.

    Args:
        key: of the private key that signs; for SQLite by default the one beside the file.

    Attributes:
        id: which store this is, 32 hex digits.

    Raises:
        StoreUnavailableError: the database does not answer.
        StoreError: it can't be used.
    """

    setting = "store.url"
    maker = "weir sink"
    failed = StoreError
    unavailable = StoreUnavailableError
    writer = WRITER

    def __init__(
        self,
        url: URL,
        connect: dict[str, Any] | None = None,
        *,
        make: bool = True,
        key: Path | None = None,
    ) -> None:
        super().__init__(url, connect, make=make)
        self._key = key if self.file is None else key or self.file.with_name(KEY_NAME)
        self.id = self._identify(make)

    def signer(self) -> Signer | None:
        """The key that signs this store, if it is here and ours to read; it is never made here.

        Raises:
            StoreError: others may read it, or it is none.
        """
        if self._key is None or not os.access(self._key, os.R_OK):
            return None
        return open_signer(self._key)

    def run_script(self, sql: str) -> None:
        """Run statements of PostgreSQL, as one transaction.

        Raises:
            StoreUnavailableError, StoreError: the database failed, or is SQLite.
        """
        if self.file is not None:
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


def _refuse_filled(connection: Connection, place: str) -> None:
    """A store with rows has forgotten which one it is: with a new id, none of its hashes fits."""
    for table in (records, acts, anchors):
        if connection.execute(select(table).limit(1)).first() is not None:
            raise TamperedError(
                f"store.url: {place} does not say any more which store it is: the row of "
                "weir_store is gone; its id is in every anchor"
            )
