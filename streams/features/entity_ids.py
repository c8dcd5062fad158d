"""Which slot of the state each value of an entity has."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from sys import getsizeof
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.features.hashing import Secret
from streams.features.kernels.entity_slots import let_go, look_up, take_in
from streams.features.kernels.id_index import EMPTY, KEY, SLOT, collect, new_index, refill

_SAMPLE = 64
"""So many names tell how large one is."""
_FIRST_PLACES = 1 << 8


class Slots(ABC):
    """Entity value to slot; a new value gets a slot of its own, a missing one has slot -1.

    Attributes:
        names: the value in each slot, ``None`` in those that are free.
        free: slots that were given back.
        fresh: slots that new values got are appended to it.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret.words
        self.names: list[Any] = []
        self.free: list[int] = []
        self.fresh: list[Any] = []

    @abstractmethod
    def find(self, values: list[Any]) -> NDArray[np.int64]:
        """The slot of each of n values, shape (n,)."""

    @abstractmethod
    def known(self, value: Any) -> int:
        """The slot of a value, negative where it has none."""

    @abstractmethod
    def forget(self, slots: Sequence[int]) -> list[Any]:
        """Forget the values in some slots, and return them; the slots are not free yet."""

    @abstractmethod
    def restore(self, slot: int, value: Any) -> None:
        """Give a forgotten value its slot again."""

    @abstractmethod
    def load(self, names: list[Any], free: list[int]) -> None:
        """Take over the values of slots that were written down; none of them is there twice.

        Raises:
            ValueError: a value is of another kind.
        """

    @property
    @abstractmethod
    def taken(self) -> int:
        """How many values have a slot."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """About how much memory the values and their slots take, in bytes."""

    def warm_up(self, secret: Secret) -> None:
        """Compile what is used, if anything is."""
        other = type(self)(secret)
        (slot, *_) = other.find([1, 2, None]).tolist()
        other.forget([slot])
        other.restore(slot, 1)
        other.find(list(range(_FIRST_PLACES)))

    def _size_of_names(self) -> int:
        sample = self.names[: -_SAMPLE - 1 : -1]
        name = sum(map(getsizeof, sample)) // max(1, len(sample))
        return getsizeof(self.names) + self.taken * name


class _TextSlots(dict[str | None, int], Slots):
    """Slots of strings, by Python's own hashes, which depend on a key of the process's own."""

    def __init__(self, secret: Secret) -> None:
        Slots.__init__(self, secret)
        dict.__init__(self)
        self[None] = -1

    def __missing__(self, value: str | None) -> int:
        if self.free:
            slot = self.free.pop()
            self.names[slot] = value
        else:
            slot = len(self.names)
            self.names.append(value)
        self[value] = slot
        self.fresh.append(slot)
        return slot

    def find(self, values: list[Any]) -> NDArray[np.int64]:
        return np.fromiter(map(self.__getitem__, values), np.int64, len(values))

    def known(self, value: Any) -> int:
        return self.get(value, -1)

    def forget(self, slots: Sequence[int]) -> list[Any]:
        values = [self.names[slot] for slot in slots]
        for slot, value in zip(slots, values, strict=True):
            del self[value]
            self.names[slot] = None
        return values

    def restore(self, slot: int, value: Any) -> None:
        self[value] = slot
        self.names[slot] = value

    def load(self, names: list[Any], free: list[int]) -> None:
        if any(isinstance(name, int) for name in names):
            raise ValueError("an int among strings")
        self.names, self.free = names, free
        self.update(zip(names, range(len(names)), strict=True))
        self[None] = -1

    @property
    def taken(self) -> int:
        return len(self) - 1

    @property
    def nbytes(self) -> int:
        return getsizeof(self) + self._size_of_names() + self.taken * getsizeof(1 << 20)


class _IntSlots(Slots):
    """Slots of ints, which are their own hashes to Python: who chooses them can crowd a dict."""

    def __init__(self, secret: Secret) -> None:
        super().__init__(secret)
        self._table = new_index(_FIRST_PLACES, columns=2)
        self._taken = 0

    def find(self, values: list[Any]) -> NDArray[np.int64]:
        try:
            return self._find(np.array(values, np.int64))
        except TypeError:
            present = np.flatnonzero([value is not None for value in values])
        slots = np.full(len(values), -1, np.int64)
        slots[present] = self._find(np.array([values[i] for i in present.tolist()], np.int64))
        return slots

    def _find(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        slots = np.empty(values.size, np.int64)
        unknown = int(look_up(self._table, self._secret, values, slots))
        if unknown:
            self._reserve(unknown)
            known = len(self.names)
            again = self.free[: -unknown - 1 : -1]
            offered = np.array([*again, *range(known, known + unknown - len(again))], np.int64)
            used, firsts = self._take_in(values, slots, offered)
            new = offered[:used].tolist()
            self.free[len(self.free) - min(used, len(again)) :] = []
            self.names += [None] * (used - len(again))
            for slot, value in zip(new, values[firsts].tolist(), strict=True):
                self.names[slot] = value
            self.fresh += new
        return slots

    def _take_in(
        self, values: NDArray[np.int64], slots: NDArray[np.int64], offered: NDArray[np.int64]
    ) -> tuple[int, NDArray[np.int64]]:
        firsts = np.empty(offered.size, np.int64)
        used = int(take_in(self._table, self._secret, values, slots, offered, firsts))
        self._taken += used
        return used, firsts[:used]

    def _reserve(self, added: int) -> None:
        if 3 * (self._taken + added) <= 2 * len(self._table):
            return
        table = new_index(1 << (2 * (self._taken + added) - 1).bit_length(), columns=2)
        entries = np.empty((self._taken, 2), np.int64)
        collect(self._table, entries)
        refill(entries, table, self._secret)
        self._table = table

    def known(self, value: Any) -> int:
        if not isinstance(value, int) or not -(2**63) <= value < 2**63:
            return -1
        slots = np.empty(1, np.int64)
        look_up(self._table, self._secret, np.array([value], np.int64), slots)
        return int(slots[0])

    def forget(self, slots: Sequence[int]) -> list[Any]:
        values = [self.names[slot] for slot in slots]
        let_go(self._table, self._secret, np.array(values, np.int64))
        self._taken -= len(values)
        for slot in slots:
            self.names[slot] = None
        return values

    def restore(self, slot: int, value: Any) -> None:
        self._reserve(1)
        entry = np.empty((1, 2), np.int64)
        entry[0, KEY], entry[0, SLOT] = value, slot
        refill(entry, self._table, self._secret)
        self._taken += 1
        self.names[slot] = value

    def load(self, names: list[Any], free: list[int]) -> None:
        if any(isinstance(name, str) for name in names):
            raise ValueError("a string among ints")
        self.names, self.free = names, free
        offered = np.array([slot for slot, name in enumerate(names) if name is not None], np.int64)
        values = np.array([name for name in names if name is not None], np.int64)
        self._reserve(values.size)
        self._take_in(values, np.full(values.size, EMPTY, np.int64), offered)

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + self._size_of_names()


def new_slots(secret: Secret, *, texts: bool) -> Slots:
    """Slots for an entity's values, which are strings or ints."""
    return _TextSlots(secret) if texts else _IntSlots(secret)
