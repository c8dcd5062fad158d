"""Appending records: each once, in one chain, under signed anchors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert

from explain.record.record import RecordError
from explain.store.act_book import ActBook
from explain.store.anchors import Anchor, add_anchor, heads, last_anchor
from explain.store.chain import Chain, Head, links
from explain.store.database import Database
from explain.store.errors import TamperedError
from explain.store.faults import Fault
from explain.store.records import Keys, keys_of
from explain.store.tables import records, rows_with
from explain.store.witness import Witness, compare, witness_of
from streams.base.clock import now_ms
from streams.base.signing import Signer

_ERASED = b""
"""The bytes of a record that was redacted."""


@dataclass(frozen=True)
class Refused:
    """A record that was not stored.

    Attributes:
        position: its index among those given.
        conflict: whether the store holds other bytes under its id; else it is no record.
        detail: what is wrong, for a person.
    """

    position: int
    conflict: bool
    detail: str


@dataclass(frozen=True)
class Appended:
    """What became of some records: how many are new, how many were there already, and the rest.

    Attributes:
        anchor: the one that was signed, if one was due.
        witness: how far the store is now.
    """

    stored: int
    repeated: int
    refused: tuple[Refused, ...]
    anchor: Anchor | None
    witness: Witness


class Appender:
    """Appends records and signs anchors.

    Args:
        anchor_every: an anchor is due once so many records have come since the last one,
        anchor_after_ms: or once so much time has passed and anything has come; and at once where
            a person did something, who may be waiting for it.
        clock: UTC milliseconds.
    """

    def __init__(
        self,
        database: Database,
        signer: Signer,
        *,
        anchor_every: int,
        anchor_after_ms: int,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._database = database
        self._signer = signer
        self._every = anchor_every
        self._after_ms = anchor_after_ms
        self._clock = clock
        self._known: Witness | None = None

    def append(self, bodies: Sequence[bytes]) -> Appended:
        """Store records byte for byte, in their order, in one transaction.

        One that is stored already is passed over, and so is one whose id is that of an erased one,
        by whatever token it names the person now; one whose id is stored with other bytes is
        refused, as is what is no record.

        Raises:
            StoreUnavailableError: the database failed; ask for the same again.
            TamperedError: the end of the store was cut off; nothing was stored.
            StoreError: it can't be written to.
        """
        refused: list[Refused] = []
        readable: list[tuple[int, Keys, bytes]] = []
        for position, body in enumerate(bodies):
            try:
                readable.append((position, keys_of(body), body))
            except RecordError as error:
                refused.append(Refused(position, False, str(error)))
        fresh: list[tuple[Keys, bytes]] = []
        with self._database.writing() as connection:
            last, ends = self._ends(connection)
            known = _stored_of(connection, [keys.id for _, keys, _ in readable])
            for position, keys, body in readable:
                if keys.id not in known:
                    known[keys.id] = body
                    fresh.append((keys, body))
                elif known[keys.id] not in (body, _ERASED):
                    detail = f"the store holds a record {keys.id} with other bytes, and keeps it"
                    refused.append(Refused(position, True, detail))
            ends["records"] = _insert(connection, ends["records"], fresh)
            anchor = None
            if self._is_due(last, ends):
                anchor = add_anchor(connection, self._database.id, self._signer, self._clock())
        self._known = witness_of(self._database.id, anchor or last, ends)
        refused.sort(key=lambda each: each.position)
        repeated = len(bodies) - len(fresh) - len(refused)
        return Appended(len(fresh), repeated, tuple(refused), anchor, self._known)

    def witness(self) -> Witness:
        """How far the store is now, whoever wrote to it.

        Raises:
            StoreUnavailableError, TamperedError, StoreError: see `append`.
        """
        with self._database.reading() as connection:
            self._known = witness_of(self._database.id, *self._ends(connection))
        return self._known

    def behind(self, witness: Witness) -> Fault | None:
        """In what the store is behind what a witness says of it; None if in nothing.

        Raises:
            StoreUnavailableError, TamperedError, StoreError: see `append`.
        """
        with self._database.reading() as connection:
            return compare(connection, self._database.id, witness)

    def accept(self, who: str, witness: Witness) -> None:
        """Write down, under an anchor, who goes on over a store that is behind a witness.

        Raises:
            StoreUnavailableError, TamperedError, StoreError: see `append`.
        """
        what = {
            "store": witness.store,
            "anchor": witness.anchor,
            "anchor_hash": witness.anchor_hash,
            "records": witness.records.sequence,
            "acts": witness.acts.sequence,
        }
        with self._database.writing() as connection:
            book = ActBook(self._database, who, self._clock)
            book.write(connection, "accept", what, 0, "weir sink --accept-store", sign=False)
            add_anchor(connection, self._database.id, self._signer, self._clock())

    def _ends(self, connection: Connection) -> tuple[Anchor | None, dict[Chain, Head]]:
        """The last anchor, and where both chains end, where all is still there that we knew of."""
        last = last_anchor(connection)
        ends = heads(connection, self._database.id, last)
        if self._known is not None:
            fault = compare(connection, self._database.id, self._known)
            if fault is not None:
                raise TamperedError(f"the store is not as it was a moment ago: {fault}")
        return last, ends

    def anchor(self, *, now: bool = False) -> Anchor | None:
        """Sign an anchor if one is due, or if `now` and anything has come since the last one.

        Raises:
            StoreUnavailableError, TamperedError, StoreError: see `append`.
        """
        with self._database.reading() as connection:
            # Asked first without holding up who writes.
            if not self._wants(connection, now):
                return None
        with self._database.writing() as connection:
            if not self._wants(connection, now):
                return None
            return add_anchor(connection, self._database.id, self._signer, self._clock())

    def _wants(self, connection: Connection, now: bool) -> bool:
        last, ends = self._ends(connection)
        return bool(_grown(last, ends)) if now else self._is_due(last, ends)

    def _is_due(self, last: Anchor | None, ends: dict[Chain, Head]) -> bool:
        grown = _grown(last, ends)
        # A clock that was once years ahead must not put off all that comes.
        waited_ms = abs(self._clock() - (0 if last is None else last.time))
        return bool(grown) and (
            "acts" in grown or grown.get("records", 0) >= self._every or waited_ms >= self._after_ms
        )


def _grown(last: Anchor | None, ends: dict[Chain, Head]) -> dict[Chain, int]:
    """By how many rows each chain has grown since the last anchor; only those that have."""
    grown = {
        chain: head.sequence - (0 if last is None else last.place(chain).sequence)
        for chain, head in ends.items()
    }
    return {chain: rows for chain, rows in grown.items() if rows}


def _insert(connection: Connection, head: Head, fresh: Sequence[tuple[Keys, bytes]]) -> Head:
    """Append to the chain of records; where it ends then."""
    rows = []
    for link, (keys, _) in zip(links(head, (body for _, body in fresh)), fresh, strict=True):
        rows.append(link._asdict() | keys._asdict())
        head = link.head
    if rows:
        # With a result asked for, PostgreSQL gets many rows in one statement.
        connection.execute(insert(records).returning(records.c.sequence), rows)
    return head


def _stored_of(connection: Connection, ids: Sequence[str]) -> dict[str, bytes]:
    """The records that are stored under some ids."""
    rows = rows_with(connection, records.c.id, ids, (records.c.id, records.c.body))
    return {row.id: row.body for row in rows}
