"""A witness of how far a store was: a few words that are kept where nobody who writes to it can."""

import hashlib
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, select

from explain.store.anchors import Anchor, ChainPlace, SignedAnchor, canonical, last_anchor
from explain.store.chain import Chain, Head
from explain.store.faults import Fault, Kind
from explain.store.tables import CHAINED, anchors, as_stored
from streams.events.json_diagnosis import UNREADABLE

_SCHEMA = "weir.witness/1"


class Witness(msgspec.Struct, frozen=True):
    """What was in a store at a moment.

    Attributes:
        store: which one.
        anchor: number of the last anchor; 0 for none.
        anchor_hash: SHA-256 of its canonical bytes, in hex.
        records, acts: where the chains ended, under an anchor or not.
    """

    schema: str
    store: str
    anchor: int
    anchor_hash: str
    records: ChainPlace
    acts: ChainPlace

    def text(self) -> str:
        """The same in some 400 characters."""
        return msgspec.json.encode(self).decode()


_decode = msgspec.json.Decoder(Witness).decode


def witness_of(store: str, last: Anchor | None, ends: Mapping[Chain, Head]) -> Witness:
    """The witness of a store whose last anchor and ends are these."""
    return Witness(
        _SCHEMA,
        store,
        0 if last is None else last.number,
        "" if last is None else hashlib.sha256(canonical(last)).hexdigest(),
        ChainPlace.of(ends["records"]),
        ChainPlace.of(ends["acts"]),
    )


def witness_by(signed: SignedAnchor) -> Witness:
    """The witness that an anchor is of the store that it was signed in."""
    anchor, hashed = signed.anchor, hashlib.sha256(signed.body).hexdigest()
    return Witness(_SCHEMA, anchor.store, anchor.number, hashed, anchor.records, anchor.acts)


def read_witness(text: str) -> Witness | None:
    """The witness in a text; None if it is none."""
    try:
        witness = _decode(text)
        bytes.fromhex(witness.records.hash + witness.acts.hash)
    except (*UNREADABLE, ValueError):
        return None
    return witness if witness.schema == _SCHEMA else None


def compare(connection: Connection, store: str, witness: Witness) -> Fault | None:
    """What of a witness does not hold in a store any more; None if all does.

    Raises:
        TamperedError: the last anchor is none.
    """

    def fault(kind: Kind, detail: str) -> Fault:
        return Fault("witness", kind, witness.anchor, None, detail)

    if witness.store != store:
        return fault("replaced", f"it is of store {witness.store}, and this one is {store}")
    if witness.anchor:
        body = connection.execute(
            select(*as_stored(anchors)).where(anchors.c.number == witness.anchor)
        ).first()
        if body is None:
            return fault("truncated", "that anchor was here, and is gone")
        if not isinstance(body.body, bytes) or (
            hashlib.sha256(body.body).hexdigest() != witness.anchor_hash
        ):
            return fault("rewritten", "another anchor stands in its place")
    last = last_anchor(connection)
    purged: dict[Chain, int] = {"records": 0 if last is None else last.purged.sequence, "acts": 0}
    places: dict[Chain, Head] = {"records": witness.records.head, "acts": witness.acts.head}
    for chain, place in places.items():
        if place.sequence <= purged[chain]:
            continue
        table = CHAINED[chain]
        row = connection.execute(
            select(*as_stored(table)).where(table.c.sequence == place.sequence)
        ).first()
        if row is None:
            detail = f"number {place.sequence} of the {chain} was here, and is gone"
            return fault("truncated", detail)
        if row.hash != place.hash:
            return fault(
                "rewritten",
                f"number {place.sequence} of the {chain} had another hash: it or one before it was "
                "changed",
            )
    return None
