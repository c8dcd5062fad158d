"""What people did with the store: reads, holds, releases and purges, in a chain of its own."""

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, insert

from explain.store.chain import genesis, links
from explain.store.errors import TamperedError
from explain.store.tables import acts, head_of
from streams.events.json_diagnosis import UNREADABLE

Kind = Literal["read", "hold", "release", "purge"]
_SCHEMA = "weir.act/1"


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that someone did; its canonical JSON is the body of its row.

    Attributes:
        who: a person, as the caller knows them.
        time: UTC milliseconds.
        what: what was asked for, held, released or purged.
        count: how many records that gave, held or removed.
        note: why.
    """

    schema: str
    kind: Kind
    who: str
    time: int
    what: dict[str, Any]
    count: int
    note: str


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
    if not who.strip():
        raise ValueError("say who does this: every act is logged with a name")
    act = Act(_SCHEMA, kind, who, now_ms, what, count, note)
    head = head_of(connection, "acts", genesis("acts", store))
    (link,) = links(head, [msgspec.json.encode(act, order="sorted")])
    connection.execute(insert(acts), link._asdict() | {"kind": kind})
    return link.sequence
