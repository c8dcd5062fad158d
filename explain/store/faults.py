"""What is wrong with a store, and where first."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["records", "acts", "anchors", "copy", "witness"]
Kind = Literal[
    "changed",
    "removed",
    "inserted",
    "reordered",
    "rewritten",
    "truncated",
    "signature",
    "key",
    "time",
    "replaced",
]
"""Of the chain: a row's bytes are others, or its hashes; rows are missing; there are rows that were
never appended; rows stand in another order; the hashes were computed anew after a change; the end
was cut off. Of an anchor: its signature is wrong; it is signed by a key that is not trusted for it.
Of an act or anchor: its time goes back or is to come. Of a witness: it is of another store."""


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong in one part of a store.

    Attributes:
        part: the chain of records or that of acts; or anchors, those of the store or of a copy; or
            a witness of how far the store was.
        sequence: the number of the row or anchor.
        id: the record's, as far as it is known.
        detail: what is wrong, for a person.
    """

    part: Part
    kind: Kind
    sequence: int
    id: str | None
    detail: str

    def __str__(self) -> str:
        noun = {
            "records": "record",
            "acts": "act",
            "anchors": "anchor",
            "copy": "copy's anchor",
            "witness": "witness of anchor",
        }
        name = f" ({self.id})" if self.id else ""
        return f"{noun[self.part]} {self.sequence}{name} {self.kind}: {self.detail}"
