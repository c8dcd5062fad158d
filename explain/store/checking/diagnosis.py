"""From the first row of a chain that does not fit to what was done to it.

A row is *sound* if its hash is that of its own number, link and body, or its bytes were erased and
the seal of its redaction fits; it *follows* if it has the next number and the hash of the row
before. What was done shows in what still fits: a record that
was changed breaks its own hash; one that was removed leaves a row that links to nothing; a moved or
pushed one is found by its link, which names the row that it stood behind.
"""

from typing import Any

from sqlalchemy import Row

from explain.store.chain import Head, link_hash
from explain.store.checking.chain_rows import ChainRows, name_of
from explain.store.faults import Fault, Kind


def follows(head: Head, row: Row[Any]) -> bool:
    """Whether a row has the place behind `head` and links to it."""
    return bool(row.sequence == head.sequence + 1 and row.previous == head.hash)


def first_unfit(head: Head, sure: Head, row: Row[Any], sound: bool) -> int:
    """The number of the first row that is not as appended, by what `row` and `head` alone tell."""
    if row.sequence <= head.sequence:
        return int(row.sequence)
    replaced = sound and row.sequence == head.sequence + 1 and head.sequence > sure.sequence
    return head.sequence if replaced else head.sequence + 1


def diagnose(rows: ChainRows, head: Head, sure: Head, row: Row[Any]) -> Fault:
    """What was done to a chain that is right up to `head`, where `row` comes next.

    Looks through the whole table for rows that stand elsewhere.

    Args:
        sure: the last row up to `head` that an anchor vouches for.
    """
    return _Diagnosis(rows, head=head, sure=sure, row=row).fault()


def replaced_alone(rows: ChainRows, anchored: Head) -> bool:
    """Whether the row behind an anchored one is right, and still links to what was signed."""
    following = rows.find("sequence", anchored.sequence + 1)
    return following is not None and follows(anchored, following) and rows.is_sound(following)


def diagnose_anchored(rows: ChainRows, anchored: Head, sure: Head, row: Row[Any]) -> Fault:
    """What was done to a chain whose links all fit up to `row`, where an anchor has another hash.

    Args:
        anchored: what the anchor says.
        sure: the last row before that an anchor vouches for.
    """
    first = sure.sequence + 1
    if replaced_alone(rows, anchored):
        return Fault(
            rows.chain, "changed", row.sequence, name_of(row), _replaced(first, row.sequence)
        )
    signed = rows.find("hash", anchored.hash)
    before = None if signed is None else rows.find("hash", signed.previous)
    if signed is not None and before is not None and before.sequence < row.sequence:
        place = before.sequence + 1
        detail = f"the row that an anchor was signed at {row.sequence} for is at {signed.sequence}"
        return Fault(rows.chain, "inserted", place, rows.name_at(place), detail)
    if first == row.sequence:
        return Fault(rows.chain, "changed", first, name_of(row), _replaced(first, first))
    detail = (
        f"one of the rows {first} to {row.sequence} was replaced, and the hashes from there on "
        f"computed anew: the anchor at {row.sequence} has another hash"
    )
    return Fault(rows.chain, "rewritten", first, None, detail)


def _replaced(first: int, last: int) -> str:
    detail = "it was replaced, and its hash computed anew"
    return detail if first == last else f"{detail}; perhaps others before it too, from {first} on"


class _Diagnosis:
    def __init__(self, rows: ChainRows, *, head: Head, sure: Head, row: Row[Any]) -> None:
        self._rows = rows
        self._chain = rows.chain
        self._head = head
        self._sure = sure
        self._row = row
        self._place = head.sequence + 1

    def fault(self) -> Fault:
        """The fault, the surest evidence first."""
        if self._row.sequence < self._place:
            return self._at_row("inserted", "it stands where the chain has no place for it")
        owner = self._owner_elsewhere()
        if self._row.sequence > self._place:
            return self._gap(owner)
        if owner is not None:
            return self._pushed(owner)
        if self._row.previous == self._head.hash:
            return self._changed()
        if self._rows.is_sound(self._row, self._place, self._head.hash):
            return self._at_row("changed", "its link was changed; its bytes are as appended")
        return self._linked_elsewhere()

    def _gap(self, owner: Row[Any] | None) -> Fault:
        if owner is not None:
            detail = f"the row that belongs here stands at {owner.sequence}"
            return Fault(self._chain, "reordered", self._place, name_of(owner), detail)
        last = self._row.sequence - 1
        detail = "it is gone" if last == self._place else f"all up to {last} are gone"
        return Fault(self._chain, "removed", self._place, None, detail)

    def _pushed(self, owner: Row[Any]) -> Fault:
        """Another row stands here than the one that was appended, which is elsewhere."""
        before = self._rows.find("hash", self._row.previous)
        if before is not None and self._rows.is_sound(self._row, before.sequence + 1):
            detail = (
                f"the row that belongs here stands at {owner.sequence}, and here stands the one of "
                f"{before.sequence + 1}"
            )
            return Fault(self._chain, "reordered", self._place, name_of(owner), detail)
        detail = f"it was not appended here: the row that was stands at {owner.sequence} now"
        return self._at_row("inserted", detail)

    def _changed(self) -> Fault:
        if self._rows.is_emptied(self._row):
            if self._rows.is_listed(self._row):
                return self._at_row("changed", "it was redacted, and something else was changed")
            detail = "its bytes were taken out, and no redaction that the key signed lists it"
            return self._at_row("changed", detail)
        following = self._rows.find("sequence", self._place + 1)
        body = self._row.body
        if (
            following is not None
            and isinstance(body, bytes)
            and following.previous == link_hash(self._place, self._head.hash, body)
        ):
            return self._at_row("changed", "its hash was changed; its bytes are as appended")
        return self._at_row("changed", "its bytes do not have its hash any more")

    def _linked_elsewhere(self) -> Fault:
        """The row that was appended behind the head is nowhere, and this one links elsewhere."""
        before = self._rows.find("hash", self._row.previous)
        if before is not None and before.sequence < self._head.sequence:
            first = before.sequence + 1
            detail = f"row {self._place} was appended behind {before.sequence}"
            return Fault(self._chain, "inserted", first, self._rows.name_at(first), detail)
        if self._rows.is_sound(self._row) and self._head.sequence > self._sure.sequence:
            last = self._head.sequence
            detail = _replaced(self._sure.sequence + 1, last)
            return Fault(self._chain, "changed", last, self._rows.name_at(last), detail)
        detail = "it is gone, and another row stands in its place"
        return Fault(self._chain, "removed", self._place, None, detail)

    def _at_row(self, kind: Kind, detail: str) -> Fault:
        return Fault(self._chain, kind, self._row.sequence, name_of(self._row), detail)

    def _owner_elsewhere(self) -> Row[Any] | None:
        """The row that was appended behind the head, if it stands anywhere else than it should."""
        for row in self._rows.linked_to(self._head):
            if row.sequence != self._row.sequence and self._rows.is_sound(row, self._place):
                return row
        return None
