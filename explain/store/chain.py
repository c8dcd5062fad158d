"""The hash chain: each row carries the hash of the row before it, so that none changes alone."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

Chain = Literal["records", "acts"]
"""The two chains of a store: explanation records, and what people did with them."""


class Head(NamedTuple):
    """Where a chain ends: the number of its last row, from 1, and that row's hash (32 bytes)."""

    sequence: int
    hash: bytes


class Link(NamedTuple):
    """One row of a chain."""

    sequence: int
    previous: bytes
    hash: bytes
    body: bytes

    @property
    def head(self) -> Head:
        """The end of a chain whose last row this is."""
        return Head(self.sequence, self.hash)


def genesis(chain: Chain, store: str) -> Head:
    """What the first row of a chain follows: row 0, whose hash says which store and chain it is."""
    return Head(0, hashlib.sha256(f"weir.chain/1 {store} {chain}".encode()).digest())


def link_hash(sequence: int, previous: bytes, body: bytes) -> bytes:
    """SHA-256 over the row's number (8 bytes, big-endian), the hash before it, and its body."""
    return hashlib.sha256(sequence.to_bytes(8, "big", signed=True) + previous + body).digest()


def links(head: Head, bodies: Iterable[bytes]) -> Iterator[Link]:
    """The rows that append `bodies` to a chain that ends at `head`."""
    for body in bodies:
        sequence = head.sequence + 1
        link = Link(sequence, head.hash, link_hash(sequence, head.hash, body), body)
        yield link
        head = link.head
