"""Counts by segment: of all events of a record, as few bytes, and added up in any order."""

import msgspec
import numpy as np
import pytest
from monitored import BINS, MODEL, counting, records, rows, score_of

from monitoring.counting.cell_counts import DECODE, ENCODE, CellCounts
from monitoring.counting.segments import (
    MISSING,
    MOST,
    OTHERS,
    Segments,
    add_segments,
    check_segments,
    count_segments,
    pack_segments,
    unpack_segments,
)

FEATURES = rows(np.random.default_rng(3), 600)
MATRIX = np.column_stack([FEATURES, score_of(FEATURES)])


def counted(codes: np.ndarray, values: list[str]) -> Segments:
    return count_segments(BINS.binning, MATRIX, np.arange(600), {"country": (values, codes)})


def whole(mask: np.ndarray | None = None) -> np.ndarray:
    own = MATRIX if mask is None else MATRIX[mask]
    return BINS.count(own, np.zeros(len(own), np.int64), 1)[0]


def test_each_value_is_counted_as_by_itself() -> None:
    codes = np.random.default_rng(1).integers(0, 3, 600)
    found = counted(codes, ["DE", "FR", "IT", "never"])["country"]
    assert set(found) == {"DE", "FR", "IT"}
    for place, value in enumerate(["DE", "FR", "IT"]):
        assert (found[value] == whole(codes == place)).all()


def test_of_many_values_the_rarest_are_counted_together() -> None:
    codes = np.random.default_rng(1).zipf(1.3, 600) % 200
    found = counted(codes, [str(each) for each in range(200)])
    assert len(found["country"]) == MOST
    assert OTHERS in found["country"]
    check_segments(found, whole())


def test_the_sum_of_parts_is_the_whole() -> None:
    codes = np.random.default_rng(1).integers(0, 50, 600)
    values = [str(each) for each in range(50)]
    total: Segments = {}
    for part in np.array_split(np.arange(600), 7):
        more = count_segments(BINS.binning, MATRIX, part, {"country": (values, codes)})
        add_segments(total, unpack_segments(pack_segments(more), BINS.shape))
    assert len(total["country"]) == MOST
    check_segments(total, whole())


def test_few_events_take_few_bytes() -> None:
    codes = np.arange(600) % 3
    one = count_segments(
        BINS.binning, MATRIX, np.arange(25), {"country": (["DE", "FR", "IT"], codes)}
    )
    assert len(pack_segments(one)) < 250


def test_what_is_no_count_by_segment_is_refused() -> None:
    data = pack_segments(counted(np.zeros(600, np.int64), ["DE"]))
    found = unpack_segments(data, BINS.shape)
    check_segments(found, whole())
    with pytest.raises(ValueError, match="do not add up"):
        check_segments(found, whole() + 1)
    with pytest.raises(ValueError, match="none of shape"):
        unpack_segments(data, (BINS.shape[0] + 1, BINS.shape[1]))
    for each in (data[:-4], b"\xff", data[:20] + b"\x00" + data[21:]):
        with pytest.raises(ValueError):
            unpack_segments(each, BINS.shape)


def test_the_first_stage_counts_by_what_the_feature_log_holds() -> None:
    countries = [["DE", "FR", None][place % 3] for place in range(600)]
    task = counting(segments=["country", "unknown"])
    (outgoing,) = task(records(FEATURES, countries=countries)).outgoing  # type: ignore[arg-type]
    total: Segments = {}
    for value in outgoing.values:
        cell = DECODE(value or b"")
        if not isinstance(cell, CellCounts):
            continue  # of the stream itself
        segments = unpack_segments(cell.segments, BINS.shape)
        check_segments(segments, cell.histogram(BINS.shape))
        add_segments(total, segments)
    assert set(total["country"]) == {"DE", "FR", MISSING}
    assert (total["country"]["FR"] == whole(np.arange(600) % 3 == 1)).all()
    assert set(total["unknown"]) == {MISSING}


def test_counts_of_before_are_read() -> None:
    record = CellCounts(MODEL, 0, 0, 0, 0, b"")
    fields = msgspec.msgpack.decode(ENCODE(record))
    del fields["segments"]
    assert DECODE(msgspec.msgpack.encode(fields)) == record
