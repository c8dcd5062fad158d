"""Compiled: which slot each value of an entity has, where the values are ints.

The table is one as of `id_index`, of two columns: value and slot.
"""

from streams.features.kernels.id_index import EMPTY, KEY, SLOT, find_place, prefetch_entry, remove
from streams.features.kernels.numba_options import kernel

_AHEAD = 12  # how many values ahead to load memory


@kernel
def look_up(table, secret, values, slots):  # type: ignore[no-untyped-def]
    """Fill in the slot of each value, `EMPTY` where it has none; how many have none."""
    unknown = 0
    for i in range(values.size):
        if i + _AHEAD < values.size:
            prefetch_entry(table, secret, values[i + _AHEAD])
        slots[i] = table[find_place(table, secret, values[i]), SLOT]
        unknown += slots[i] == EMPTY
    return unknown


@kernel
def take_in(table, secret, values, slots, offered, firsts):  # type: ignore[no-untyped-def]
    """Give the values without a slot those that are offered, in order; how many were needed.

    Args:
        firsts: filled with the position of the value that each of these slots went to.
    """
    used = 0
    for i in range(values.size):
        if slots[i] != EMPTY:
            continue
        place = find_place(table, secret, values[i])
        if table[place, SLOT] == EMPTY:
            table[place, KEY] = values[i]
            table[place, SLOT] = offered[used]
            firsts[used] = i
            used += 1
        slots[i] = table[place, SLOT]
    return used


@kernel
def let_go(table, secret, values):  # type: ignore[no-untyped-def]
    """Take values out of the table that are in it."""
    for i in range(values.size):
        remove(table, secret, find_place(table, secret, values[i]))
