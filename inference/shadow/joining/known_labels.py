"""What became known of events, by the hash of their ids."""

import numpy as np
from numpy.typing import NDArray

from inference.shadow.comparison.tally import UNKNOWN
from inference.shadow.joining.row_chunks import RowChunks
from streams.loop.stateless.keyed_state import PartitionState

LABEL = np.dtype([("hash", "<u8"), ("time", "<i8"), ("label", "u1")])
"""One label, in 17 bytes: hash of its event's id, when it became known (ms), and 0 or 1."""

NEVER = np.int64(2**63 - 1)
LABELS = b"l/"
_SORT = 4_096


def by_hash(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Rows in the order of their hashes; several times faster than `np.sort` with an order."""
    ordered: NDArray[np.void] = rows[np.argsort(rows["hash"], kind="stable")]
    return ordered


class KnownLabels:
    """The labels that may still meet an event, in a partition's state.

    Args:
        prefix: of their keys there.
    """

    def __init__(self, state: PartitionState, prefix: bytes = LABELS) -> None:
        self._chunks = RowChunks(state, prefix, LABEL)
        self._sorted = by_hash(self._chunks.rows)
        self._new: list[NDArray[np.void]] = []

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, labels: NDArray[np.void]) -> None:
        """Keep further ones."""
        if len(labels):
            self._chunks.append(labels)
            self._new.append(by_hash(labels))
            if sum(map(len, self._new)) > max(_SORT, len(self._sorted) // 8):
                self._sort()

    def forget(self, until: int) -> None:
        """Those up to this time, in ms, meet no event any more."""
        if self._chunks.drop(until):
            self._sort()

    def of(
        self, hashes: NDArray[np.uint64], due: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """What was known of n events when they were due, ms: 0, 1, or -1 for nothing, (n,).

        And whether a label that came later says otherwise, (n,).
        """
        known = np.full(len(hashes), UNKNOWN, np.int8)
        later = known.copy()
        events, labels = self._meeting(hashes)
        # Each event's labels in the order of time; of two at one time, fraud wins.
        order = np.lexsort((labels["label"], labels["time"], events))
        events, labels = events[order], labels[order]
        by_then = labels["time"] <= due[events]
        known[events[by_then]] = labels["label"][by_then]  # the last one stays
        later[events[~by_then]] = labels["label"][~by_then]
        return known, (later != UNKNOWN) & (later != np.maximum(known, 0))

    def about(self, hashes: NDArray[np.uint64]) -> NDArray[np.void]:
        """All that is known of some events, in no order."""
        return self._meeting(hashes)[1]

    def reported(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """When n events were first said to be fraud, ms, (n,); `NEVER` where they were not."""
        events, labels = self._meeting(hashes)
        fraud, first = labels["label"] == 1, np.full(len(hashes), NEVER)
        np.minimum.at(first, events[fraud], labels["time"][fraud])
        return first

    def _sort(self) -> None:
        self._sorted = by_hash(self._chunks.rows)
        self._new = []

    def _meeting(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.void]]:
        """Pairs of an event's place and a label of it."""
        events, labels = [np.empty(0, np.intp)], [np.empty(0, LABEL)]
        for part in (self._sorted, *self._new):
            begin = np.searchsorted(part["hash"], hashes, "left")
            counts = np.searchsorted(part["hash"], hashes, "right") - begin
            # 0, 1, … of each event's labels, behind where these begin.
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            events.append(np.repeat(np.arange(len(hashes)), counts))
            labels.append(part[np.repeat(begin, counts) + within])
        return np.concatenate(events), np.concatenate(labels)
