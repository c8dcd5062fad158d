"""Cells that wait, and details of an episode, are bounded, however far a partition is ahead."""

import numpy as np

from monitoring.drift.detail_log import DetailLog
from monitoring.drift.open_cells import OpenCells
from monitoring.episodes.kept import Kept
from streams.loop.stateless.keyed_state import PartitionState

SHAPE = (2, 4)
LARGE = bytes(100_000)
CELLS = 1_500


def held(cells: OpenCells) -> int:
    return sum(len(each) for start in cells.begun(CELLS) for each in cells.pop(start).details)


def test_open_cells_come_in_order_and_hold_so_many_details() -> None:
    kept = Kept(PartitionState({}), "model").below("cell")
    cells = OpenCells(kept, SHAPE)
    counts = np.ones(SHAPE, np.int64)
    order = np.random.default_rng(1).permutation(CELLS).tolist()
    for start in order:
        cells.add(start, counts, [LARGE], {})
    cells.add(order[0], counts, [], {})
    assert cells.begun(9) == list(range(10))
    assert (cells.pop(0).counts[0] >= 1).all()
    assert cells.begun(9) == list(range(1, 10))
    cells.write()
    anew = OpenCells(kept, SHAPE)
    assert anew.begun(CELLS) == cells.begun(CELLS) == list(range(1, CELLS))
    assert 60 << 20 < held(anew) <= 64 << 20
    anew.add(5, counts, [LARGE], {})
    assert held(anew) == len(LARGE), "what was taken out makes room again"


def test_details_of_an_episode_are_of_its_latest_cells_where_they_are_many() -> None:
    log = DetailLog({})
    for start in range(CELLS):
        log.add(start, [LARGE])
    starts = list(log.entries)
    assert starts == list(range(CELLS - len(starts), CELLS))
    assert 31 << 20 < len(starts) * len(LARGE) <= 32 << 20
    log.forget(CELLS - 1)
    assert list(log.entries) == [CELLS - 1]
