"""Reading records, as a person: who reads, what they ask and how much they get is signed first."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from explain.store.act_book import PATIENCE_S, ActBook
from explain.store.acts import Act, check_name, parse_act
from explain.store.database import Database
from explain.store.errors import StoreError
from explain.store.people.matching import matching
from explain.store.redactions import redacting_acts
from explain.store.roles.functions import answer, ask, rights_of
from explain.store.tables import acts, records
from streams.base.clock import now_ms


@dataclass(frozen=True)
class Query:
    """Which records: those that fulfil every condition that is given.

    Attributes:
        id: the record's own.
        event_id: the event's, as text.
        event_key: the token of the event's key.
        from_ms, to_ms: event time at or after, and before, UTC milliseconds.
        outcome: approve, review or decline.
        package: id of the model package that answered.
    """

    id: str | None = None
    event_id: str | None = None
    event_key: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    outcome: str | None = None
    package: str | None = None

    def asked(self) -> dict[str, str | int]:
        """The conditions that are given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Erased(msgspec.Struct, frozen=True):
    """What is left to say of a record whose bytes were erased.

    Attributes:
        id: the record's own.
        act: number of the act.
        who: the name of who did it.
        time: when, UTC milliseconds.
    """

    id: str
    act: int
    who: str
    time: int


Found = bytes | Erased
"""A record, byte for byte, or who erased it."""

_ERASED = b"\0"
"""What the database's function begins with where a record was erased."""
_decode_erased = msgspec.json.Decoder(Erased).decode


class Reader:
    """Reads for one person.

    Args:
        who: their name; every read is logged under it.
        note: why they read, or by which command.
        clock: UTC milliseconds.
        patience_s: see `ActBook`.
    """

    def __init__(
        self,
        database: Database,
        who: str,
        *,
        note: str = "",
        clock: Callable[[], int] = now_ms,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database = database
        self._book = ActBook(database, who, clock, patience_s)
        self._note = note

    def get(self, record_id: str) -> Found | None:
        """The record of this id; None if there is none.

        Raises:
            StoreUnavailableError, StoreError: the database failed, or the read can't be logged.
            ValueError: nobody is named.
        """
        found = self.find(Query(id=record_id), limit=1)
        return found[0] if found else None

    def find(self, query: Query, limit: int = 100) -> list[Found]:
        """The records that a query means, the latest events first, at most `limit`.

        Nothing is returned before an anchor was signed for the act that says so. Texts beyond their
        first 200 characters are not told apart.

        Raises:
            StoreUnavailableError, StoreError, ValueError: see `get`.
        """
        check_name(self._book.who)
        asked = {**query.asked(), "limit": limit}
        newest = (records.c.event_time.desc(), records.c.sequence.desc())
        columns = (records.c.sequence, records.c.id, records.c.body)
        chosen = select(*columns).where(matching(query.asked())).order_by(*newest).limit(limit)
        with self._database.reading() as connection:
            rights = rights_of(connection)
            by_functions = rights.functions and not (rights.reads and rights.acts)
            found: list[Found] = []
            if not by_functions:
                found = _found(connection, chosen)
        if by_functions:
            return self._find_by_functions(asked)
        with self._database.writing() as connection:  # apart: a long search holds up no writer
            number = self._book.write(connection, "read", asked, len(found), self._note)
        self._book.settle(number)
        return found

    def _find_by_functions(self, asked: dict[str, str | int]) -> list[Found]:
        """The same where the database reads for us; it commits the act before it answers."""
        with self._database.writing() as connection:
            number = ask(connection, asked, by=self._book.who, note=self._note)
        self._book.settle(number)
        with self._database.reading() as connection:
            return [
                _decode_erased(each[1:]) if each[:1] == _ERASED else each
                for each in answer(connection, number)
            ]


def _found(connection: Connection, chosen: Select[Any]) -> list[Found]:
    rows = connection.execute(chosen).all()
    left = {row.sequence for row in rows if not row.body}
    erased: dict[int, Erased] = {}
    if left:
        ids = {row.sequence: row.id for row in rows}
        for number, act, redaction in redacting_acts(connection):
            for sequence in left & redaction.rows.keys():
                erased[sequence] = Erased(ids[sequence], number, act.name, act.time)
    return [erased.get(row.sequence, row.body) for row in rows]


def list_acts(database: Database, after: int = 0) -> Iterator[tuple[int, Act]]:
    """What people did, in order, with its number; only what was numbered after `after`.

    Raises:
        StoreUnavailableError, StoreError: the database failed, or this login may not see it.
        TamperedError: one is no act.
    """
    chosen = select(acts.c.sequence, acts.c.body).where(acts.c.sequence > after)
    streamed = chosen.order_by(acts.c.sequence).execution_options(yield_per=1_000)
    with database.reading() as connection:
        if not rights_of(connection).lists:
            raise StoreError(
                "store.url: this login may not see what people did: that is for a keeper"
            )
        for row in connection.execute(streamed):
            yield row.sequence, parse_act(row.sequence, row.body)
