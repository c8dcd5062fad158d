"""Looking at a store's anchors and at a copy of them: who signed, and whether all are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select

from explain.store.anchors import SignedAnchor, last_anchor, read_copy, read_row, stored_anchors
from explain.store.chain import Head, genesis
from explain.store.checking.times import TimeLine
from explain.store.errors import StoreError, TamperedError
from explain.store.faults import Fault, Kind, Part
from explain.store.keys import Succession, Trusted
from explain.store.tables import anchors, as_stored
from streams.base.signing import Signer


class AnchorCheck:
    """Checks the anchors of a store and, if there is one, an exported file of them.

    Attributes, after `run`:
        valid: how many anchors of the store count.
        anchored: the highest record that one of either vouches for.
        purged: the last record that was purged, according to them.
        redactions: places of the acts that they call redactions.
    """

    def __init__(
        self,
        connection: Connection,
        store: str,
        *,
        trusted: Trusted,
        copy: Path | None,
        now_ms: int,
    ) -> None:
        self._connection = connection
        self._store = store
        self._trusted = trusted
        self._copy = copy
        self._succession = Succession(trusted, trusted.in_use)
        self._times = TimeLine(now_ms)
        self._void: set[int] = set()
        self._faults: dict[tuple[Part, bool], Fault] = {}
        self.valid = 0
        self.anchored = 0
        self.purged: Head = genesis("records", store)
        self.redactions: set[Head] = set()

    def run(self) -> list[Fault]:
        """Look at all of them; the first fault of the store's and of the copy's, times apart."""
        copied = self._copied()
        kept = next(copied, None)
        expected = 1
        for row in self._rows():
            while kept is not None and kept.anchor.number < row.number:
                self._gone(kept)
                kept = next(copied, None)
            if row.number != expected:
                self._misplaced(row.number, expected)
            signed = self._whole(row)
            if signed is not None and self._follows(signed):
                self.valid += 1
                self._note(signed)
            else:
                self._void.add(row.number)
            if kept is not None and kept.anchor.number == row.number:
                if signed is not None and signed.body != kept.body:
                    self._fault("anchors", "rewritten", row.number, "the copy has another one")
                kept = next(copied, None)
            expected = max(expected, row.number + 1)
        while kept is not None:
            self._gone(kept)
            kept = next(copied, None)
        return list(self._faults.values())

    def places(self) -> Iterator[Iterator[SignedAnchor]]:
        """After `run`: the anchors that count, ascending, those of the store and of the copy."""
        yield (
            # Signatures are dear, and were looked at.
            read_row(row)
            for row in self._rows()
            if row.number not in self._void
        )
        yield self._copied()

    def _rows(self) -> Iterator[Row[Any]]:
        chosen = select(*as_stored(anchors)).order_by(anchors.c.number)
        yield from self._connection.execute(chosen.execution_options(yield_per=1_000))

    def _whole(self, row: Row[Any]) -> SignedAnchor | None:
        """The anchor in a row, if it counts."""
        try:
            signed = read_row(row)
        except TamperedError as error:
            self._fault("anchors", "changed", row.number, str(error))
            return None
        if signed.anchor.number != row.number:
            detail = f"it says of itself that it is number {signed.anchor.number}"
            self._fault("anchors", "reordered", row.number, detail)
            return None
        if signed.anchor.records.sequence != row.sequence:
            self._fault("anchors", "changed", row.number, "its column sequence was changed")
        return signed if self._is_ours("anchors", signed) else None

    def _follows(self, signed: SignedAnchor) -> bool:
        """Whether it counts behind those before it; a wrong time does not unmake a signature."""
        anchor = signed.anchor
        if late := self._times.wrong(anchor.time):
            self._fault("anchors", "time", anchor.number, late)
        if former := self._succession.refusal(anchor.key):
            self._fault("anchors", "key", anchor.number, f"key {anchor.key[:16]}… {former}")
        return not former

    def _copied(self) -> Iterator[SignedAnchor]:
        """The anchors of the copy that count."""
        last = 0
        for signed in () if self._copy is None else read_copy(self._copy):
            if signed.anchor.number <= last:
                detail = f"it stands behind number {last} in the file"
                self._fault("copy", "reordered", signed.anchor.number, detail)
            elif self._is_ours("copy", signed):
                last = signed.anchor.number
                self._note(signed)
                yield signed

    def _is_ours(self, part: Part, signed: SignedAnchor) -> bool:
        anchor = signed.anchor
        if anchor.key not in self._trusted:
            detail = f"it is signed by key {anchor.key[:16]}…, which is not among the trusted ones"
            self._fault(part, "key", anchor.number, detail)
            return False
        if not self._trusted.signed(anchor.key, signed.body, signed.signature):
            detail = "its signature is not of these bytes: one of them was changed"
            self._fault(part, "signature", anchor.number, detail)
            return False
        if refused := self._trusted.refusal(anchor.key, anchor.number, anchor.time):
            self._fault(part, "key", anchor.number, f"key {anchor.key[:16]}… {refused}")
            return False
        if anchor.store != self._store:
            detail = f"it is an anchor of another store, {anchor.store}"
            self._fault(part, "inserted", anchor.number, detail)
            return False
        return True

    def _note(self, signed: SignedAnchor) -> None:
        self.anchored = max(self.anchored, signed.anchor.records.sequence)
        self.purged = max(self.purged, signed.anchor.purged.head)
        if signed.anchor.redacts:
            self.redactions.add(signed.anchor.acts.head)

    def _misplaced(self, number: int, expected: int) -> None:
        if number < expected:
            self._fault("anchors", "inserted", number, "anchors are numbered from 1")
        else:
            what = "it is gone" if number == expected + 1 else f"all up to {number - 1} are gone"
            self._fault("anchors", "removed", expected, what)

    def _gone(self, kept: SignedAnchor) -> None:
        self._fault("anchors", "removed", kept.anchor.number, "it is gone; the copy has it")

    def _fault(self, part: Part, kind: Kind, number: int, detail: str) -> None:
        # A clock that was wrong must not hide what somebody did.
        self._faults.setdefault((part, kind == "time"), Fault(part, kind, number, None, detail))


def refuse_retired(connection: Connection, trusted: Trusted, signer: Signer, now_ms: int) -> None:
    """Refuse to sign with a key that may sign nothing new: `verify` would name what it signs.

    Raises:
        StoreError: the time of the key is over, or another has taken its place.
        TamperedError: an anchor is none.
    """
    last = last_anchor(connection)
    why = trusted.refusal(signer.id, 1 if last is None else last.number + 1, now_ms)
    if why is None and last is not None and last.key != signer.id:
        succession = Succession(trusted, in_use="")
        for signed in stored_anchors(connection):
            succession.refusal(signed.anchor.key)
        why = succession.refusal(signer.id)
    if why is not None:
        raise StoreError(f"store.key_file: key {signer.id[:16]}… {why}; name the key in use")
