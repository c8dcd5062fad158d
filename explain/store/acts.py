"""What people did with the store: reads, holds, purges and more, in a chain of its own."""

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, insert, text

from explain.store.chain import genesis, links
from explain.store.errors import TamperedError
from explain.store.tables import acts, head_of
from streams.events.json_diagnosis import UNREADABLE

Kind = Literal["read", "hold", "release", "purge", "erase", "redact", "accept", "dossier"]
_SCHEMA = "weir.act/1"


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that someone did; its canonical JSON is the body of its row.

    Attributes:
        who: a person, as the caller knows them; in PostgreSQL the login that they came with.
        time: UTC milliseconds.
        what: what was asked for, held, released, purged, erased, redacted or accepted; of a
            dossier, its model and the file's SHA-256.
        count: how many records that gave, held, removed or redacted.
        note: why.
        by: in PostgreSQL the name that they gave, where it is not that of the login.
    """

    schema: str
    kind: Kind
    who: str
    time: int
    what: dict[str, Any]
    count: int
    note: str
    by: str = ""

    @property
    def name(self) -> str:
        """Who it was, for a person: the login, and as whom it said it came."""
        return f"{self.who} as {self.by}" if self.by else self.who


_decode = msgspec.json.Decoder(Act).decode


def parse_act(sequence: int, body: Any) -> Act:
    """The act in the row of this number.

    Raises:
        TamperedError: it is none.
    """
    try:
        return _decode(body)
    except (*UNREADABLE, TypeError) as error:
        raise TamperedError(
            f"act {sequence} is no act any more: {error}; see `weir audit verify`"
        ) from error


def add_act(
    connection: Connection,
    store: str,
    kind: Kind,
    *,
    who: str,
    now_ms: int,
    what: dict[str, Any],
    count: int,
    note: str = "",
) -> int:
    """Log an act in a transaction that writes; its number.

    Raises:
        ValueError: nobody is named.
        TamperedError: the last act is none any more.
    """
    check_name(who)
    by = ""
    if connection.dialect.name == "postgresql":
        login = str(connection.execute(text("SELECT session_user")).scalar_one())
        who, by = login, who if who != login else ""
    act = Act(_SCHEMA, kind, who, now_ms, what, count, note, by)
    head = head_of(connection, "acts", genesis("acts", store))
    (link,) = links(head, [msgspec.json.encode(act, order="sorted")])
    connection.execute(insert(acts), link._asdict() | {"kind": kind})
    return link.sequence


def check_name(who: str) -> None:
    """Refuse to go on for nobody.

    Raises:
        ValueError: nobody is named.
    """
    if not who.strip():
        raise ValueError("say who does this: every act is logged with a name")
