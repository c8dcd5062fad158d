"""Following one chain through its table, to the rows that are not as they were appended."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Row

from explain.record.record import RecordError
from explain.store.acts import parse_act
from explain.store.chain import Chain, Head
from explain.store.checking.chain_rows import CHAIN_COLUMNS, ChainRows, name_of
from explain.store.checking.diagnosis import (
    diagnose,
    diagnose_anchored,
    first_unfit,
    follows,
    replaced_alone,
)
from explain.store.checking.times import TimeLine
from explain.store.errors import TamperedError
from explain.store.faults import Fault
from explain.store.records import keys_of
from explain.store.tables import CHAINED

_TOLD_EVERY = 250
_LISTED = 1_000


class ChainCheck:
    """Follows a chain from `start` to its end, in constant memory.

    Behind a fault it goes on with the next row that is right by itself, so that every other place
    where something was done is found too; only the first is looked into.

    Args:
        signed: where the chain ended, according to trusted anchors, ascending.

    Attributes:
        right: the number of the last row before the first fault.
        fault: what is wrong first, if anything is.
        late: the first act whose time goes back or is to come, which is wrong in nothing else.
        others: numbers of the next places where something is wrong, a thousand at most.
        other_count: how many of these there are.
        erased: how many rows are right whose bytes were erased.
    """

    def __init__(
        self, rows: ChainRows, *, start: Head, signed: Iterator[Head], now_ms: int
    ) -> None:
        self._rows = rows
        self._chain = rows.chain
        self._start = self._head = self._sure = start
        # A copy of the anchors says most of it a second time.
        once = (place for place, _ in groupby(signed))
        self._signed = (place for place in once if place.sequence > start.sequence)
        self._anchored = next(self._signed, None)
        self._linked = True
        self._times = TimeLine(now_ms)
        self.right = start.sequence
        self.fault: Fault | None = None
        self.late: Fault | None = None
        self.others: list[int] = []
        self.other_count = 0
        self.erased = 0

    def run(self, reached: Callable[[int], None]) -> None:
        """Look at all rows; `reached` is told, now and then, the number of one."""
        for row in self._rows:
            self._look_at(row)
            if row.sequence % _TOLD_EVERY == 0:
                reached(row.sequence)
        reached(self._head.sequence)
        if self._anchored is not None:
            self._note_cut_off(self._anchored)
        if self.fault is None:
            self.right = self._head.sequence

    def _look_at(self, row: Row[Any]) -> None:
        head, sound = self._head, self._rows.is_sound(row)
        next_one = row.sequence == head.sequence + 1
        if not (sound and next_one and (follows(head, row) or not self._linked)):
            self._note_unfit(row, sound)
        elif self._rows.is_emptied(row):  # its seal is over its columns
            self.erased += 1
        elif wrong := _wrong_columns(self._chain, row):
            self._note(Fault(self._chain, "changed", row.sequence, name_of(row), wrong))
        elif self._chain == "acts":
            self._look_at_act(row)
        if row.sequence <= head.sequence:
            return
        self._head, self._linked = Head(row.sequence, row.hash), sound
        while self._anchored is not None and self._anchored.sequence <= row.sequence:
            self._compare(self._anchored, row)
            self._anchored = next(self._signed, None)

    def _look_at_act(self, row: Row[Any]) -> None:
        act = parse_act(row.sequence, row.body)
        if act.kind == "redact" and not self._rows.is_redaction(row):
            detail = "it says that records were redacted, and the key signed no such act here"
            self._note(Fault(self._chain, "inserted", row.sequence, None, detail))
        late = self._times.wrong(act.time)
        if late and self.late is None:
            self.late = Fault(self._chain, "time", row.sequence, None, late)

    def _compare(self, anchored: Head, row: Row[Any]) -> None:
        """Compare a row with what an anchor says of it, unless it is wrong by itself."""
        if anchored.sequence != row.sequence or not self._linked:
            return
        if anchored.hash != row.hash:
            alone = replaced_alone(self._rows, anchored)
            if self.fault is None:
                fault = diagnose_anchored(self._rows, anchored, self._sure, row)
                self._note(fault)
            else:
                self._note_other(row.sequence if alone else self._sure.sequence + 1)
            self._linked = not alone
        self._sure = self._head

    def _note_unfit(self, row: Row[Any], sound: bool) -> None:
        head = self._head
        if self.fault is None:
            fault = diagnose(self._rows, head, self._sure, row)
            self._note(fault)
        else:
            self._note_other(first_unfit(head, self._sure, row, sound))
        if not sound and row.sequence > head.sequence + 1:
            self._note_other(row.sequence)  # behind a gap, and wrong itself

    def _note_cut_off(self, anchored: Head) -> None:
        for later in self._signed:
            anchored = later
        detail = f"the end was cut off: an anchor was signed when it stood at {anchored.sequence}"
        place = self._head.sequence + 1
        self._note(Fault(self._chain, "truncated", place, None, detail))

    def _note(self, fault: Fault) -> None:
        if self.fault is not None:
            self._note_other(fault.sequence)
            return
        self.fault = fault
        if self._start.sequence < fault.sequence <= self._head.sequence:
            self.right = fault.sequence - 1
        else:
            self.right = self._head.sequence

    def _note_other(self, sequence: int) -> None:
        self.other_count += 1
        if len(self.others) < _LISTED:
            self.others.append(sequence)


def _wrong_columns(chain: Chain, row: Row[Any]) -> str:
    """What is wrong with the columns that a row is found by; empty if nothing is."""
    try:
        right = (
            keys_of(row.body) if chain == "records" else (parse_act(row.sequence, row.body).kind,)
        )
    except (RecordError, TamperedError) as error:
        return str(error)
    found = row[CHAIN_COLUMNS:]
    if found == right:
        return ""
    names = CHAINED[chain].columns.keys()[CHAIN_COLUMNS:]
    wrong = next(name for name, *both in zip(names, found, right, strict=True) if len({*both}) > 1)
    return f"its column {wrong} was changed; its bytes are as they were appended"
