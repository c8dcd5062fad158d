"""Redacted records: rows whose bytes were erased, and the acts that say so.

Without its bytes a row's hash can't be computed, and nothing would tie it to the row before. So the
act of a redaction lists a *seal* of each of its rows: a hash over the row's number, link, hash, and
the columns that stay. The anchor that is signed with the act says that it is a redaction, so that
nobody without the key makes one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, select

from explain.store.acts import Act, parse_act
from explain.store.chain import Head, link_hash
from explain.store.errors import TamperedError
from explain.store.tables import acts, as_stored

EMPTIED = {"body": b"", "event_id": "", "event_key": ""}
"""What a redaction writes into a row."""


class Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the act of a redaction says.

    Attributes:
        field: which identifier it was for, such as ``card_id``; not whose.
        rows: the seals by the numbers of the rows, in hex.
    """

    field: str
    rows: dict[int, Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]]


def seal_of(sequence: int, previous: bytes, own: bytes, columns: Sequence[Any]) -> bytes:
    """The seal of a row, 32 bytes.

    Args:
        own: its hash.
        columns: what it is found by, after the redaction.
    """
    return link_hash(sequence, previous, own + msgspec.json.encode(tuple(columns)))


def redaction_of(number: int, act: Act) -> Redaction:
    """What an act of the kind ``redact`` says.

    Raises:
        TamperedError: it is none that Weir wrote.
    """
    try:
        return msgspec.convert(act.what, Redaction, str_keys=True)
    except msgspec.ValidationError as error:
        raise TamperedError(
            f"act {number} is no redaction that Weir wrote: see `weir audit verify`"
        ) from error


@dataclass(frozen=True)
class Redactions:
    """The redactions that were signed as such.

    Attributes:
        acts: their places in the chain of acts.
        seals: those of all rows that they list, by number.
    """

    acts: frozenset[Head]
    seals: Mapping[int, bytes]

    @classmethod
    def load(cls, connection: Connection, signed: Iterable[Head]) -> "Redactions":
        """Those at the places that anchors name; an act that is not as it was signed is none."""
        places = frozenset(signed)
        seals: dict[int, bytes] = {}
        for place in sorted(places):
            chosen = select(*as_stored(acts)).where(acts.c.sequence == place.sequence)
            row = connection.execute(chosen).first()
            if row is None or not (isinstance(row.previous, bytes) and isinstance(row.body, bytes)):
                continue
            if link_hash(place.sequence, row.previous, row.body) != place.hash:
                continue
            act = parse_act(place.sequence, row.body)
            if act.kind == "redact":
                rows = redaction_of(place.sequence, act).rows
                seals.update((number, bytes.fromhex(seal)) for number, seal in rows.items())
        return cls(places, seals)


def redacting_acts(connection: Connection) -> Iterator[tuple[int, Act, Redaction]]:
    """The acts of redactions, by their own word, with their numbers, in order.

    Raises:
        TamperedError: one is none that Weir wrote.
    """
    chosen = select(acts.c.sequence, acts.c.body).where(acts.c.kind == "redact")
    for row in connection.execute(chosen.order_by(acts.c.sequence)):
        act = parse_act(row.sequence, row.body)
        yield row.sequence, act, redaction_of(row.sequence, act)
