"""What is done to a store of SQLite by whoever can write to its file."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from store_world import SIGNER

from explain.store.anchors import Anchor, ChainPlace, canonical
from explain.store.chain import genesis, link_hash

Deed = Callable[[sqlite3.Connection], object]


def do(folder: Path, deed: Deed) -> None:
    with closing(sqlite3.connect(folder / "explanations.db")) as raw:
        deed(raw)
        raw.commit()


def roll_back(raw: sqlite3.Connection) -> None:
    """To the first anchor, which vouches for ten records."""
    raw.execute("DELETE FROM weir_records WHERE sequence > 10")
    raw.execute("DELETE FROM weir_anchors WHERE number > 1")


def empty(raw: sqlite3.Connection) -> None:
    for table in ("weir_records", "weir_anchors", "weir_acts", "weir_store"):
        raw.execute(f"DELETE FROM {table}")


def forge(raw: sqlite3.Connection) -> None:
    """Replace record 5, and compute all hashes behind it anew."""
    (store,) = raw.execute("SELECT id FROM weir_store").fetchone()
    previous = genesis("records", store).hash
    rows = raw.execute("SELECT sequence, body FROM weir_records ORDER BY 1").fetchall()
    for sequence, body in rows:
        forged = body.replace(b"1.5", b"2.5") if sequence == 5 else body
        hashed = link_hash(sequence, previous, forged)
        change = "UPDATE weir_records SET body = ?, previous = ?, hash = ? WHERE sequence = ?"
        raw.execute(change, (forged, previous, hashed, sequence))
        previous = hashed


def forge_and_sign(raw: sqlite3.Connection) -> None:
    """The same by who holds the key: all anchors are signed anew."""
    forge(raw)
    hashes = dict(raw.execute("SELECT sequence, hash FROM weir_records").fetchall())
    for number, body in raw.execute("SELECT number, body FROM weir_anchors").fetchall():
        anchor = msgspec.json.decode(body, type=Anchor)
        end = anchor.records.sequence
        forged = msgspec.structs.replace(anchor, records=ChainPlace(end, hashes[end].hex()))
        signed = (canonical(forged), SIGNER.sign(canonical(forged)), number)
        raw.execute("UPDATE weir_anchors SET body = ?, signature = ? WHERE number = ?", signed)
