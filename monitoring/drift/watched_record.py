"""The state of detectors as bytes."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.drift.detector import Watched
from monitoring.drift.yardstick import Yardstick


class _Record(msgspec.Struct):
    log_s: bytes
    evidence: bytes
    counts: bytes
    groups: bytes
    since: bytes
    rise: bytes
    rising: bytes
    away: bytes


_FLOATS, _INTS = "<f8", "<i8"
_DECODER = msgspec.msgpack.Decoder(_Record)


def encode_watched(watched: Watched) -> bytes:
    """The state, to the bit."""
    return msgspec.msgpack.encode(
        _Record(
            watched.log_s.astype(_FLOATS).tobytes(),
            watched.evidence.astype(_FLOATS).tobytes(),
            watched.counts.astype(_INTS).tobytes(),
            watched.groups.astype(_INTS).tobytes(),
            watched.since.astype(_INTS).tobytes(),
            watched.rise.astype(_FLOATS).tobytes(),
            watched.rising.astype(_INTS).tobytes(),
            watched.away.astype(_INTS).tobytes(),
        )
    )


def decode_watched(data: bytes, yardstick: Yardstick) -> Watched:
    """The state again.

    Raises:
        ValueError: it is of another yardstick, or none.
    """
    record = _DECODER.decode(data)
    begun = Watched.begin(yardstick, 0)
    return Watched(
        _floats(record.log_s, begun.log_s.shape),
        _floats(record.evidence, begun.evidence.shape),
        _ints(record.counts, begun.counts.shape),
        _ints(record.groups, begun.groups.shape),
        _ints(record.since, begun.since.shape),
        _floats(record.rise, begun.rise.shape),
        _ints(record.rising, begun.rising.shape),
        _ints(record.away, begun.away.shape).astype(np.bool_),
    )


def _floats(data: bytes, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.frombuffer(data, _FLOATS).reshape(shape).copy()


def _ints(data: bytes, shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.frombuffer(data, _INTS).reshape(shape).copy()
