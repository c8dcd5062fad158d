"""What tells broken data from a changed world: magnitudes and repeated values, by producer, too.

Of a sample of the events. They are put together only where a feature has moved.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.breakage.magnitudes import BUCKETS, Counts, count_magnitudes
from monitoring.breakage.stuck import COUNTERS, Repeated, Repeats

MOST_PRODUCERS = 8
_WHOLE = 10
"""Vectors of each record that are kept whole, evenly taken."""
OTHERS = "others"


class _Sparse(msgspec.Struct, array_like=True):
    """Counts (features, 4096) by their places, rising; most are 0."""

    places: bytes
    counts: bytes


class _Record(msgspec.Struct, array_like=True):
    """Of F features: magnitudes of all events and by producer, and of each feature the values that
    come most (F, 16), how often, and its longest run; and some vectors whole, float32 (n, F).
    """

    features: int
    magnitudes: _Sparse
    by_producer: dict[str, _Sparse]
    values: bytes
    held: bytes
    run_values: bytes
    runs: bytes
    whole: bytes = b""


_DECODER = msgspec.msgpack.Decoder(_Record)


def details_of(rows: NDArray[np.float32], producers: Sequence[str]) -> bytes:
    """Details of vectors (n, features); `producers` say whose each is, and are empty if unknown."""
    repeats = Repeats.none(rows.shape[1])
    repeats.add(rows)
    by_producer: dict[str, _Sparse] = {}
    if producers:
        names, counts = np.unique(np.array(producers, str), return_counts=True)
        first = set(names[np.argsort(-counts, kind="stable")][:MOST_PRODUCERS].tolist())
        named = np.array([each if each in first else OTHERS for each in producers], str)
        for name in np.unique(named).tolist():
            by_producer[name] = _counted(rows[named == name])
    return msgspec.msgpack.encode(
        _Record(
            rows.shape[1],
            _counted(rows),
            by_producer,
            repeats.values.astype("<f4").tobytes(),
            repeats.counts.astype("<i8").tobytes(),
            repeats.run_values.astype("<f4").tobytes(),
            repeats.run_lengths.astype("<i8").tobytes(),
            rows[:: -(-len(rows) // _WHOLE) or 1].astype("<f4").tobytes(),
        )
    )


def check_details(data: bytes, features: int) -> None:
    """Whether bytes are details of so many features.

    Raises:
        ValueError: they are not.
    """
    record = _DECODER.decode(data)
    for each in (record.magnitudes, *record.by_producer.values()):
        places = np.frombuffer(each.places, "<u4")
        counts = np.frombuffer(each.counts, "<i8")
        if len(places) != len(counts) or (places >= features * BUCKETS).any() or (counts < 0).any():
            raise ValueError("counts by magnitude are not as Weir's monitor writes them")
    sizes = {len(record.values) // 4, len(record.held) // 8}
    if record.features != features or sizes != {features * COUNTERS}:
        raise ValueError(f"details of {record.features} features, not of {features}")
    if len(record.runs) != 8 * features or len(record.run_values) != 4 * features:
        raise ValueError(f"runs of another number of features than {features}")
    if len(record.whole) % (4 * features):
        raise ValueError(f"vectors of another number of features than {features}")


@dataclass
class FeatureDetails:
    """Of one feature, all details together.

    Attributes:
        magnitudes: (4096,); `by_producer` those of each one's events.
    """

    magnitudes: Counts
    by_producer: dict[str, Counts]
    repeated: Repeated


def whole_vectors(details: Iterable[bytes], features: int) -> NDArray[np.float32]:
    """The vectors that some details, all of them right, have kept whole, (n, features)."""
    kept = b"".join(_DECODER.decode(each).whole for each in details)
    return np.frombuffer(kept, "<f4").reshape(-1, features)


def of_feature(details: Iterable[bytes], feature: int) -> FeatureDetails:
    """What some details, all of them right, say of a feature together."""
    found = FeatureDetails(np.zeros(BUCKETS, np.int64), {}, Repeated({}, 0.0, 0))
    held: dict[float, int] = {}
    run_value, run = 0.0, 0
    for data in details:
        record = _DECODER.decode(data)
        _add(found.magnitudes, record.magnitudes, feature)
        for name, sparse in record.by_producer.items():
            counts = found.by_producer.setdefault(name, np.zeros(BUCKETS, np.int64))
            _add(counts, sparse, feature)
        first = feature * COUNTERS
        values = np.frombuffer(record.values, "<f4")[first : first + COUNTERS].tolist()
        counted = np.frombuffer(record.held, "<i8")[first : first + COUNTERS].tolist()
        for value, count in zip(values, counted, strict=True):
            if count:
                held[value] = held.get(value, 0) + count
        length = int(np.frombuffer(record.runs, "<i8")[feature])
        if length > run:
            run_value, run = float(np.frombuffer(record.run_values, "<f4")[feature]), length
    found.repeated = Repeated(held, run_value, run)
    return found


def _counted(rows: NDArray[np.float32]) -> _Sparse:
    counts = np.zeros((rows.shape[1], BUCKETS), np.int64)
    count_magnitudes(rows, counts)
    flat = counts.reshape(-1)
    places = np.flatnonzero(flat)
    return _Sparse(places.astype("<u4").tobytes(), flat[places].astype("<i8").tobytes())


def _add(counts: Counts, sparse: _Sparse, feature: int) -> None:
    places = np.frombuffer(sparse.places, "<u4")
    first, last = np.searchsorted(places, [feature * BUCKETS, (feature + 1) * BUCKETS])
    own = places[first:last] - np.uint32(feature * BUCKETS)
    counts[own] += np.frombuffer(sparse.counts, "<i8")[first:last]
