"""The rows of one chain in its table, and which of them are sound."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, CursorResult, Row, select

from explain.store.chain import Chain, Head, link_hash
from explain.store.redactions import Redactions, seal_of
from explain.store.tables import CHAINED, as_stored

CHAIN_COLUMNS = 4
"""Columns that every chain has; those that rows are found by stand behind them."""
_AT_ONCE = 250
"""Rows that are held in memory; records may be large."""
_INT64 = range(-(2**63), 2**63)


class ChainRows:
    """The rows of one chain.

    Args:
        redactions: those that count; a row whose bytes are gone is sound by their seals alone.
    """

    def __init__(self, connection: Connection, chain: Chain, redactions: Redactions) -> None:
        self._connection = connection
        self._table = CHAINED[chain]
        self._redactions = redactions
        self.chain = chain

    def __iter__(self) -> Iterator[Row[Any]]:
        rows = select(*as_stored(self._table)).order_by(self._table.c.sequence)
        yield from self._connection.execute(rows.execution_options(yield_per=_AT_ONCE))

    def is_sound(
        self, row: Row[Any], sequence: int | None = None, previous: bytes | None = None
    ) -> bool:
        """Whether a row's hash is right, for its own number and link unless others are given."""
        number = row.sequence if sequence is None else sequence
        link = row.previous if previous is None else previous
        if not (isinstance(link, bytes) and isinstance(row.body, bytes) and number in _INT64):
            return False
        if self.is_emptied(row):
            return self._is_sealed(row, number, link)
        return bool(link_hash(number, link, row.body) == row.hash)

    def is_emptied(self, row: Row[Any]) -> bool:
        """Whether a record's bytes are gone."""
        return self.chain == "records" and row.body == b""

    def is_listed(self, row: Row[Any]) -> bool:
        """Whether a redaction that counts lists a record."""
        return row.sequence in self._redactions.seals

    def is_redaction(self, row: Row[Any]) -> bool:
        """Whether an act was signed as a redaction."""
        return Head(row.sequence, row.hash) in self._redactions.acts

    def find(self, column: str, value: Any) -> Row[Any] | None:
        """The first row that has a value in `sequence` or in a column of bytes."""
        if not isinstance(value, int if column == "sequence" else bytes):
            return None
        return self._select(self._table.c[column] == value).first()

    def linked_to(self, head: Head) -> Iterator[Row[Any]]:
        """All rows that link to a row, in order."""
        yield from self._select(self._table.c.previous == head.hash)

    def name_at(self, sequence: int) -> str | None:
        """The id of the record of this number, if there is one."""
        row = self.find("sequence", sequence)
        return None if row is None else name_of(row)

    def _select(self, condition: ColumnElement[bool]) -> CursorResult[Any]:
        chosen = select(*as_stored(self._table)).where(condition)
        return self._connection.execute(chosen.order_by(self._table.c.sequence))

    def _is_sealed(self, row: Row[Any], number: int, link: bytes) -> bool:
        columns = row[CHAIN_COLUMNS:]
        # Bytes in a column of text would be encoded as a text.
        if not isinstance(row.hash, bytes) or any(isinstance(each, bytes) for each in columns):
            return False
        return self._redactions.seals.get(number) == seal_of(number, link, row.hash, columns)


def name_of(row: Row[Any]) -> str | None:
    """The id of a record; an act has none."""
    name = row._mapping.get("id")
    return name if isinstance(name, str) else None
