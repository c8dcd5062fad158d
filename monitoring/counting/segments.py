"""Counts by the values of some fields: those that come most, and the rest together."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from monitoring.counting.kernels import Binning
from monitoring.counting.packed import pack, unpack

MOST = 32
"""Values of a field that are counted by themselves, the rest included."""
OTHERS, MISSING = "(others)", "(missing)"

Segments = dict[str, dict[str, NDArray[np.int64]]]
"""Counts (features, bins) by field and value; those of a field's values are all events."""

Coded = dict[str, tuple[list[str], NDArray[np.int64]]]
"""Of each field its values, and which of them each event has, (n,)."""

_DECODER = msgspec.msgpack.Decoder(dict[str, tuple[list[str], bytes]])


def coded(table: pa.Table, fields: Sequence[str]) -> Coded:
    """The values of fields in a table of the feature log; one that it lacks is missing in all."""
    found: Coded = {}
    context = table["context"].combine_chunks()
    for name in fields:
        if context.type.get_field_index(name) < 0:
            found[name] = [MISSING], np.zeros(len(table), np.int64)
            continue
        texts = pc.fill_null(pc.cast(context.field(name), pa.string()), MISSING)
        values = texts.dictionary_encode()
        found[name] = values.dictionary.to_pylist(), values.indices.to_numpy().astype(np.int64)
    return found


def count_segments(
    binning: Binning, matrix: NDArray[np.float32], rows: NDArray[np.int64], fields: Coded
) -> Segments:
    """Count some rows of a matrix (n, features) by the values of each field."""
    names: list[tuple[str, list[str]]] = []
    places = np.empty((len(rows), len(fields)), np.int64)
    first = 0
    for column, (field, (values, codes)) in enumerate(fields.items()):
        own = codes[rows]
        events = np.bincount(own, minlength=len(values))
        there = np.argsort(-events, kind="stable")[: np.count_nonzero(events)]
        kept = there if len(there) <= MOST else there[: MOST - 1]
        place = np.full(len(values), len(kept))
        place[kept] = np.arange(len(kept))
        named = [values[each] for each in kept.tolist()] + [OTHERS] * (len(kept) < len(there))
        places[:, column] = first + place[own]
        names.append((field, named))
        first += len(named)
    counts = np.zeros((first, len(binning.sizes), binning.bins), np.int64)
    binning.count_by(matrix[rows], places, counts)
    each = iter(counts)
    return {field: {value: next(each) for value in values} for field, values in names}


def add_segments(into: Segments, more: Segments) -> None:
    """Add counts; of the values that are too many then, the rarest count as others."""
    for field, values in more.items():
        known = into.setdefault(field, {})
        for value, counts in values.items():
            known[value] = known[value] + counts if value in known else counts
        while len(known) > MOST:
            rarest = min(known.keys() - {OTHERS}, key=lambda value: (known[value][0].sum(), value))
            counts = known.pop(rarest)
            known[OTHERS] = known[OTHERS] + counts if OTHERS in known else counts


def pack_segments(segments: Segments) -> bytes:
    """Counts by segment as bytes; empty where there are none."""
    if not segments:
        return b""
    return msgspec.msgpack.encode(
        {
            field: (list(values), pack(np.array(list(values.values()))))
            for field, values in segments.items()
        }
    )


def unpack_segments(data: bytes, shape: tuple[int, int]) -> Segments:
    """Counts by segment again.

    Args:
        shape: how many features and bins there are.

    Raises:
        ValueError: these are none.
    """
    found: Segments = {}
    for field, (values, packed) in (_DECODER.decode(data) if data else {}).items():
        if len(values) > MOST or len(set(values)) < len(values):
            raise ValueError(f"{len(values)} values of {field}: {MOST} different ones may be")
        counts = unpack(packed, (len(values), *shape))
        found[field] = dict(zip(values, counts, strict=True))
    return found


def check_segments(segments: Segments, whole: NDArray[np.int64]) -> None:
    """Whether counts by segment are those of some events, whose counts are (features, bins).

    Raises:
        ValueError: they are not.
    """
    for field, values in segments.items():
        if (sum(values.values(), np.zeros_like(whole)) != whole).any():
            raise ValueError(f"counts by {field} do not add up to those of all events")
