"""Following one chain through its table, to the first row that is not as it was appended."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from explain.record import RecordError
from explain.store.acts import parse_act
from explain.store.chain import Chain, Head
from explain.store.diagnosis import (
    diagnose,
    diagnose_anchored,
    follows,
    is_sound,
    name_of,
)
from explain.store.faults import Fault
from explain.store.records import keys_of
from explain.store.tables import CHAINED, as_stored

_AT_ONCE = 1_000
_CHAINED = 4
"""Columns that every chain has; those that rows are found by stand behind them."""


def check_chain(
    connection: Connection,
    chain: Chain,
    start: Head,
    signed: Iterator[Head],
    reached: Callable[[int], None],
) -> tuple[Head, Fault | None]:
    """Follow a chain from `start` to its end, in constant memory.

    Args:
        signed: where the chain ended, according to trusted anchors, ascending.
        reached: told, now and then, the number of the row that is being looked at.

    Returns:
        The last row that is right, and what is wrong with what follows it.
    """
    table = CHAINED[chain]
    head = sure = start
    anchored = next((place for place in signed if place.sequence > start.sequence), None)
    rows = select(*as_stored(table)).order_by(table.c.sequence)
    for row in connection.execute(rows.execution_options(yield_per=_AT_ONCE)):
        if not (follows(head, row) and is_sound(row)):
            return head, diagnose(connection, chain, head, sure, row)
        wrong = _wrong_columns(chain, row)
        if wrong:
            return head, Fault(chain, "changed", row.sequence, name_of(row), wrong)
        head = Head(row.sequence, row.hash)
        while anchored is not None and anchored.sequence == head.sequence:
            if anchored.hash != head.hash:
                return sure, diagnose_anchored(connection, chain, anchored, sure, row)
            sure, anchored = head, next(signed, None)
        if head.sequence % _AT_ONCE == 0:
            reached(head.sequence)
    reached(head.sequence)
    if anchored is None:
        return head, None
    for later in signed:
        anchored = later
    detail = f"the end was cut off: an anchor was signed when it stood at {anchored.sequence}"
    return head, Fault(chain, "truncated", head.sequence + 1, None, detail)


def _wrong_columns(chain: Chain, row: Row[Any]) -> str:
    """What is wrong with the columns that a row is found by; empty if nothing is."""
    try:
        right = keys_of(row.body) if chain == "records" else (parse_act(row.body).kind,)
    except (RecordError, msgspec.DecodeError) as error:
        return str(error)
    found = row[_CHAINED:]
    if found == right:
        return ""
    names = CHAINED[chain].columns.keys()[_CHAINED:]
    wrong = next(name for name, *both in zip(names, found, right, strict=True) if len({*both}) > 1)
    return f"its column {wrong} was changed; its bytes are as they were appended"
