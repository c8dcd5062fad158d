"""Verifying a store: both chains, the anchors, and a copy of the anchors that someone kept."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from explain.store.chain import Chain, Head, genesis
from explain.store.checking.anchor_check import AnchorCheck
from explain.store.checking.chain_check import ChainCheck
from explain.store.checking.chain_rows import ChainRows
from explain.store.database import Database
from explain.store.errors import StoreError, TamperedError
from explain.store.faults import Fault
from explain.store.keys import Trusted
from explain.store.redactions import Redactions
from explain.store.roles.functions import rights_of
from explain.store.tables import CHAINED
from explain.store.witness import Witness, compare
from streams.base.clock import now_ms

Step = Callable[[int, int], None]
"""Called with how many rows of how many were looked at."""


def silent(done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Attributes:
        store: which store it is.
        records, acts: how many rows of each chain are right, up to the first that is not.
        purged: the number of the last record that was purged.
        anchors: how many anchors have a right signature by a trusted key.
        erased: how many records have no bytes any more, as a redaction says.
        unanchored: how many records at the end no anchor vouches for yet.
        faults: the first of each part that has one; of records before that of acts, anchors, copy,
            witness.
        others: numbers of further records where something is wrong, a thousand at most.
        other_count: how many of these there are. Where rows were moved up, it is all behind them.
    """

    store: str
    records: int
    acts: int
    purged: int
    anchors: int
    erased: int
    unanchored: int
    faults: tuple[Fault, ...]
    others: tuple[int, ...]
    other_count: int

    @property
    def tampered(self) -> tuple[Fault, ...]:
        """What somebody did; a time that is wrong may be a clock's fault, and stays for good."""
        return tuple(fault for fault in self.faults if fault.kind != "time")

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(
    database: Database,
    trusted: Trusted,
    copy: Path | None = None,
    step: Step = silent,
    *,
    clock: Callable[[], int] = now_ms,
    witnesses: Iterable[Witness] = (),
) -> Report:
    """Look at every row of a store, as it is at one moment.

    Memory does not grow with the store, but for some 150 bytes a redacted record.

    An anchor whose signature is wrong vouches for nothing, and is a fault of its own; the chains
    are followed all the same. What stands behind the last anchor is held together by its hashes
    alone, which whoever can write to the database can compute.

    Args:
        trusted: the keys whose anchors count.
        copy: an exported file of anchors; it shows if the store's end and its last anchors were
            cut off together.
        clock: UTC milliseconds; nothing may have been signed or done later.
        witnesses: what was known of the store elsewhere before this began.

    Raises:
        StoreUnavailableError, StoreError: the database failed, the copy can't be read, or this
            login may not see the store.
    """
    with database.reading() as connection:
        rights = rights_of(connection)
        if not (rights.reads and rights.lists):
            raise StoreError("store.url: this login may not see the store: a keeper verifies it")
        now = clock()
        anchored = AnchorCheck(connection, database.id, trusted=trusted, copy=copy, now_ms=now)
        faults = anchored.run()
        faults += _against(connection, database.id, witnesses)
        redactions = Redactions.load(connection, anchored.redactions)
        checked: dict[Chain, ChainCheck] = {}
        starts: dict[Chain, Head] = {
            "records": anchored.purged,
            "acts": genesis("acts", database.id),
        }
        last = {
            chain: connection.execute(select(func.max(CHAINED[chain].c.sequence))).scalar()
            or start.sequence
            for chain, start in starts.items()
        }
        total = sum(last[chain] - start.sequence for chain, start in starts.items())
        done = 0
        for chain, start in starts.items():

            def reached(sequence: int, before: int = done - start.sequence) -> None:
                step(before + sequence, total)

            signed = heapq.merge(*_places(anchored, chain), key=lambda head: head.sequence)
            rows = ChainRows(connection, chain, redactions)
            checked[chain] = ChainCheck(rows, start=start, signed=signed, now_ms=now)
            checked[chain].run(reached)
            done += last[chain] - start.sequence
    found = [fault for each in checked.values() for fault in (each.fault, each.late)]
    faults += [fault for fault in found if fault is not None]
    order = ("records", "acts", "anchors", "copy", "witness")
    faults.sort(key=lambda fault: (order.index(fault.part), fault.kind == "time"))
    records, acts = checked["records"], checked["acts"]
    return Report(
        store=database.id,
        records=records.right - anchored.purged.sequence,
        acts=acts.right,
        purged=anchored.purged.sequence,
        anchors=anchored.valid,
        erased=records.erased,
        unanchored=max(0, records.right - anchored.anchored),
        faults=tuple(faults),
        others=tuple(records.others),
        other_count=records.other_count,
    )


def _against(connection: Connection, store: str, witnesses: Iterable[Witness]) -> list[Fault]:
    """What the first witness says that does not hold of the store any more."""
    for witness in witnesses:
        try:
            fault = compare(connection, store, witness)
        except TamperedError:  # the last anchor is none, which is a fault of its own
            return []
        if fault is not None:
            return [fault]
    return []


def _places(check: AnchorCheck, chain: Chain) -> Iterator[Iterator[Head]]:
    """Where a chain ended, by the anchors that count, from each source ascending."""
    for source in check.places():
        yield (signed.anchor.place(chain) for signed in source)
