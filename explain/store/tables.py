"""The tables, the same in SQLite and PostgreSQL."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from explain.store.chain import Chain, Head
from explain.store.errors import TamperedError

LAYOUT = 1
"""Raised when the tables change."""

metadata = MetaData()

_LAST_NUMBER = 2**63 - 1
_ASKED = 500
"""Values in one question; a statement can't have any number of parameters."""
# SQLite numbers rows itself only by an INTEGER, which is 64 bits wide there.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def _chained(name: str, *more: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
        Column("previous", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("body", LargeBinary, nullable=False),
        *more,
    )


stores = Table(
    "weir_store",
    metadata,
    Column("id", Text, primary_key=True),
    Column("layout", Integer, nullable=False),
    Column("made", BigInteger, nullable=False),
)
"""One row: which store this is."""

records = _chained(
    "weir_records",
    Column("id", Text, nullable=False, unique=True),
    Column("event_id", Text, nullable=False),
    Column("event_key", Text, nullable=False),
    Column("event_time", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("package", Text, nullable=False),
)
"""Explanation records as they came, and the few keys that they are found by."""

acts = _chained("weir_acts", Column("kind", Text, nullable=False))
"""What people did: reads, holds, releases, purges."""

anchors = Table(
    "weir_anchors",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
"""Signed statements of where both chains ended at a time; `sequence` is that of the records."""

Index("weir_records_event", records.c.event_id)
Index("weir_records_key", records.c.event_key, records.c.event_time)
Index("weir_records_time", records.c.event_time)
Index("weir_records_package", records.c.package, records.c.event_time)
Index("weir_acts_kind", acts.c.kind)
Index("weir_anchors_sequence", anchors.c.sequence)

CHAINED: dict[Chain, Table] = {"records": records, "acts": acts}


def as_stored(table: Table) -> list[ColumnElement[Any]]:
    """All columns, with values as the driver gives them.

    A forged row of SQLite may hold anything in any column, such as a number where bytes belong.
    """
    return [type_coerce(column, NullType()).label(column.name) for column in table.columns]


def rows_with(
    connection: Connection,
    column: ColumnElement[Any],
    values: Sequence[Any],
    columns: Sequence[ColumnElement[Any]],
) -> Iterator[Row[Any]]:
    """These columns of the rows that have one of some values, however many, in another column."""
    for first in range(0, len(values), _ASKED):
        some = column.in_(values[first : first + _ASKED])
        yield from connection.execute(select(*columns).where(some))


def head_of(connection: Connection, chain: Chain, start: Head) -> Head:
    """Where a chain ends now; `start` if it has no rows.

    Raises:
        TamperedError: nothing can follow the last row, by what it holds.
    """
    table = CHAINED[chain]
    last = select(*as_stored(table)).order_by(table.c.sequence.desc()).limit(1)
    row = connection.execute(last).first()
    if row is None:
        return start
    if not isinstance(row.hash, bytes) or row.sequence == _LAST_NUMBER:
        raise TamperedError(
            f"the end of the {chain} is not as it was written: see `weir audit verify`"
        )
    return Head(row.sequence, row.hash)
