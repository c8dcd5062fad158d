"""Anchors: signed statements of where both chains began and ended at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select

from explain.store.chain import Chain, Head, genesis
from explain.store.errors import StoreError, TamperedError
from explain.store.tables import anchors, as_stored, head_of
from streams.base.signing import Signer
from streams.events.json_diagnosis import UNREADABLE

_SCHEMA = "weir.anchor/1"


class ChainPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a chain: its number and its hash in hex; number 0 is the genesis."""

    sequence: int
    hash: str

    @classmethod
    def of(cls, head: Head) -> "ChainPlace":
        """The same as text."""
        return cls(head.sequence, head.hash.hex())

    @property
    def head(self) -> Head:
        """The same in bytes."""
        return Head(self.sequence, bytes.fromhex(self.hash))


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is signed.

    Attributes:
        schema: ``weir.anchor/1``.
        store: which store this is about.
        number: from 1, without gaps.
        time: when it was signed, UTC milliseconds.
        key: id of the public key, see `streams.base.signing.key_id`.
        records, acts: the last row of each chain.
        purged: the last record that was purged: the chain begins after it.
        redacts: whether the last act is a redaction. Anchors that a sink signs for the acts it sees
            never say so: the key has to be in the hands of whoever redacts.
    """

    schema: str
    store: str
    number: int
    time: int
    key: str
    records: ChainPlace
    acts: ChainPlace
    purged: ChainPlace
    redacts: bool = False

    def place(self, chain: Chain) -> Head:
        """Where a chain ended."""
        return (self.records if chain == "records" else self.acts).head


class SignedAnchor(msgspec.Struct, frozen=True):
    """An anchor as it stands in the store or in a copy; who made it is not checked yet.

    Attributes:
        body: canonical JSON of the `Anchor`, which is what was signed.
    """

    anchor: Anchor
    body: bytes
    signature: bytes


class _Line(msgspec.Struct):
    anchor: Anchor
    signature: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_body = msgspec.json.Decoder(Anchor).decode


def canonical(anchor: Anchor) -> bytes:
    """The bytes that are signed."""
    return msgspec.json.encode(anchor, order="sorted")


def parse_anchor(body: bytes, signature: bytes) -> SignedAnchor:
    """An anchor from its stored bytes.

    Raises:
        ValueError: they are no anchor.
    """
    anchor = _decode_body(body)
    for place in (anchor.records, anchor.acts, anchor.purged):
        if len(bytes.fromhex(place.hash)) != 32 or place.sequence < 0:
            raise ValueError("a hash is not 64 hex digits, or a number is negative")
    if anchor.schema != _SCHEMA or canonical(anchor) != body:
        raise ValueError(f"it is not canonical JSON of schema {_SCHEMA}")
    return SignedAnchor(anchor, body, signature)


def export_line(signed: SignedAnchor) -> bytes:
    """An anchor as one line of an exported file, with its line end."""
    line = {"anchor": msgspec.Raw(signed.body), "signature": signed.signature.hex()}
    return msgspec.json.encode(line) + b"\n"


def parse_line(line: bytes) -> SignedAnchor:
    """The anchor in such a line.

    Raises:
        ValueError: there is none.
    """
    try:
        read = _decode_line(line)
        return parse_anchor(canonical(read.anchor), bytes.fromhex(read.signature))
    except (*UNREADABLE, OverflowError) as error:  # a number of more than 64 bits can't be written
        raise ValueError(str(error)) from error


def read_copy(path: Path) -> Iterator[SignedAnchor]:
    """The anchors of an exported file, in its order.

    Raises:
        StoreError: a line is none, or there is none; the message names file and line.
    """
    empty = True
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                empty = False
                try:
                    yield parse_line(line)
                except ValueError as error:
                    raise StoreError(
                        f"{path}:{number}: no anchor: {error}; write the file with "
                        "`weir audit anchors --out FILE`"
                    ) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    if empty:
        raise StoreError(
            f"{path} holds no anchor, so it vouches for nothing: write it with "
            "`weir audit anchors --out FILE` once the sink has signed one"
        )


def first_lost(connection: Connection, copy: Path) -> int | None:
    """The number of the first anchor of a copy that the store does not have as it is there.

    Raises:
        StoreError, TamperedError: see `read_copy` and `stored_anchors`.
    """
    stored = stored_anchors(connection)
    ours = next(stored, None)
    for kept in read_copy(copy):
        while ours is not None and ours.anchor.number < kept.anchor.number:
            ours = next(stored, None)
        if ours is None or ours.body != kept.body:
            return kept.anchor.number
    return None


def stored_anchors(connection: Connection, after: int = 0) -> Iterator[SignedAnchor]:
    """The anchors of a store that were numbered after `after`, in order.

    Raises:
        TamperedError: one is no anchor.
    """
    chosen = select(*as_stored(anchors)).where(anchors.c.number > after)
    streamed = chosen.order_by(anchors.c.number).execution_options(yield_per=1_000)
    yield from map(read_row, connection.execute(streamed))


def read_row(row: Row[Any]) -> SignedAnchor:
    """The anchor in a row.

    Raises:
        TamperedError: it is none.
    """
    signature = row.signature if isinstance(row.signature, bytes) else b""
    try:
        return parse_anchor(row.body, signature)
    except (*UNREADABLE, ValueError, TypeError) as error:
        raise TamperedError(f"anchor {row.number} is no anchor any more: {error}") from error


def last_anchor(connection: Connection) -> Anchor | None:
    """The newest anchor, taken at its word.

    Raises:
        TamperedError: it is no anchor.
    """
    newest = select(*as_stored(anchors)).order_by(anchors.c.number.desc()).limit(1)
    row = connection.execute(newest).first()
    return None if row is None else read_row(row).anchor


def heads(connection: Connection, store: str, last: Anchor | None) -> dict[Chain, Head]:
    """Where both chains end.

    Raises:
        TamperedError: one is shorter than the last anchor says: its end was cut off.
    """
    starts: dict[Chain, Head] = {
        "records": genesis("records", store) if last is None else last.purged.head,
        "acts": genesis("acts", store),
    }
    found = {chain: head_of(connection, chain, start) for chain, start in starts.items()}
    for chain, head in found.items():
        if last is not None and head.sequence < last.place(chain).sequence:
            raise TamperedError(
                f"the store ends at {chain} {head.sequence}, and anchor {last.number} was signed "
                f"at {last.place(chain).sequence}: what follows was cut off, or a backup was "
                "restored; see `weir audit verify`"
            )
    return found


def add_anchor(
    connection: Connection,
    store: str,
    signer: Signer,
    now_ms: int,
    purged: Head | None = None,
    *,
    redacts: bool = False,
) -> Anchor:
    """Sign where both chains end now, in the transaction that wrote what is new.

    Args:
        purged: the last record of the rows that just went.
        redacts: whether the last act is a redaction.

    Raises:
        TamperedError: the end of a chain was cut off.
    """
    last = last_anchor(connection)
    ends = heads(connection, store, last)
    if purged is None:
        purged = genesis("records", store) if last is None else last.purged.head
    anchor = Anchor(
        schema=_SCHEMA,
        store=store,
        number=1 if last is None else last.number + 1,
        time=now_ms,
        key=signer.id,
        records=ChainPlace.of(ends["records"]),
        acts=ChainPlace.of(ends["acts"]),
        purged=ChainPlace.of(purged),
        redacts=redacts,
    )
    body = canonical(anchor)
    row = {"number": anchor.number, "sequence": anchor.records.sequence, "body": body}
    connection.execute(insert(anchors), row | {"signature": signer.sign(body)})
    return anchor
