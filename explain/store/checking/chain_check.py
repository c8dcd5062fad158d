"""Following one chain through its table, to the rows that are not as they were appended."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from explain.record.record import RecordError
from explain.store.acts import parse_act
from explain.store.chain import Chain, Head
from explain.store.checking.diagnosis import (
    diagnose,
    diagnose_anchored,
    first_unfit,
    follows,
    is_sound,
    name_of,
    replaced_alone,
)
from explain.store.checking.times import TimeLine
from explain.store.errors import TamperedError
from explain.store.faults import Fault
from explain.store.records import keys_of
from explain.store.tables import CHAINED, as_stored

_AT_ONCE = 250
"""Rows that are held in memory; records may be large."""
_LISTED = 1_000
_CHAINED = 4
"""Columns that every chain has; those that rows are found by stand behind them."""


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
    """

    def __init__(
        self,
        connection: Connection,
        chain: Chain,
        *,
        start: Head,
        signed: Iterator[Head],
        now_ms: int,
    ) -> None:
        self._connection = connection
        self._chain = chain
        self._table = CHAINED[chain]
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

    def run(self, reached: Callable[[int], None]) -> None:
        """Look at all rows; `reached` is told, now and then, the number of one."""
        rows = select(*as_stored(self._table)).order_by(self._table.c.sequence)
        for row in self._connection.execute(rows.execution_options(yield_per=_AT_ONCE)):
            self._look_at(row)
            if row.sequence % _AT_ONCE == 0:
                reached(row.sequence)
        reached(self._head.sequence)
        if self._anchored is not None:
            self._note_cut_off(self._anchored)
        if self.fault is None:
            self.right = self._head.sequence

    def _look_at(self, row: Row[Any]) -> None:
        head, sound = self._head, is_sound(row)
        next_one = row.sequence == head.sequence + 1
        if not (sound and next_one and (follows(head, row) or not self._linked)):
            self._note_unfit(row, sound)
        elif wrong := _wrong_columns(self._chain, row):
            self._note(Fault(self._chain, "changed", row.sequence, name_of(row), wrong))
        elif self._chain == "acts":
            late = self._times.wrong(parse_act(row.sequence, row.body).time)
            if late and self.late is None:
                self.late = Fault(self._chain, "time", row.sequence, None, late)
        if row.sequence <= head.sequence:
            return
        self._head, self._linked = Head(row.sequence, row.hash), sound
        while self._anchored is not None and self._anchored.sequence <= row.sequence:
            self._compare(self._anchored, row)
            self._anchored = next(self._signed, None)

    def _compare(self, anchored: Head, row: Row[Any]) -> None:
        """Compare a row with what an anchor says of it, unless it is wrong by itself."""
        if anchored.sequence != row.sequence or not self._linked:
            return
        if anchored.hash != row.hash:
            alone = replaced_alone(self._connection, self._chain, anchored)
            if self.fault is None:
                fault = diagnose_anchored(self._connection, self._chain, anchored, self._sure, row)
                self._note(fault)
            else:
                self._note_other(row.sequence if alone else self._sure.sequence + 1)
            self._linked = not alone
        self._sure = self._head

    def _note_unfit(self, row: Row[Any], sound: bool) -> None:
        head = self._head
        if self.fault is None:
            fault = diagnose(self._connection, self._chain, head, self._sure, row)
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
    found = row[_CHAINED:]
    if found == right:
        return ""
    names = CHAINED[chain].columns.keys()[_CHAINED:]
    wrong = next(name for name, *both in zip(names, found, right, strict=True) if len({*both}) > 1)
    return f"its column {wrong} was changed; its bytes are as they were appended"
