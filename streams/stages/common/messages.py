"""Records between the stages: a byte for the version, one for the kind, and MessagePack.

* ``E``: events of one source partition, in columns of their own or for the join; also without
  events, as a mark of how far the partition was read.
* ``L``: labels of one source partition, likewise.
* ``F``: features of events of one source partition.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.base.errors import WRONG_USE, WeirError
from streams.events.contract import EventContract
from streams.events.record_headers import type_of
from streams.features.feature_rows import FeatureRows

VERSION = 1
EVENTS, LABELS, FEATURES = b"E", b"L", b"F"

MAX_BYTES = 900_000
"""What a record takes at most, unless one event alone is larger: below Kafka's default of 1 MB."""

_FOREIGN = "see who may write to this topic, and set a new stages.prefix"
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_PYTHON = {"int": _Int64, "float": float, "bool": bool, "string": str}


class MessageError(WeirError):
    """A record between the stages can't be read."""

    exit_code = WRONG_USE


class SourceProgress(msgspec.Struct, array_like=True, frozen=True):
    """How far a source partition was read, once a record's rows are taken in.

    Attributes:
        partition: the source partition.
        next_offset: of its first record that was not routed.
        reached: no later record of it queues before this time; see `PartitionQueue`.
        caught_up: there was nothing more to read.
    """

    partition: int
    next_offset: _Int64
    reached: _Int64
    caught_up: bool


class LabelRow(msgspec.Struct, array_like=True, gc=False):
    """A label on its way; `merge_time` as for events."""

    offset: _Int64
    merge_time: _Int64
    event_id: _Int64 | str
    value: _Int64


class Features(msgspec.Struct, array_like=True):
    """Features of n events of one source partition.

    Attributes:
        offsets: int64, little-endian.
        matrix: float64, little-endian, row by row.
        flags: a byte per event: 1 late, 2 approximate.
    """

    entity: str
    digest: str
    partition: int
    offsets: bytes
    matrix: bytes
    flags: bytes

    @property
    def source_offsets(self) -> NDArray[np.int64]:
        """Offsets of the events in the events topic, ascending, shape (n,)."""
        return np.frombuffer(self.offsets, "<i8")

    def rows(self) -> FeatureRows:
        """The features, shape (n, width)."""
        flags = np.frombuffer(self.flags, np.uint8)
        matrix = np.frombuffer(self.matrix, "<f8").reshape(len(flags), -1)
        return FeatureRows(matrix, (flags & 1) != 0, (flags & 2) != 0)


class RowCodec:
    """Writes and reads events that carry certain fields, and headers of their records.

    Rows are objects with the attributes ``offset``, ``time``, ``arrived``, ``merge_time``, ``tie``
    and one per field; see `attributes`. ``merge_time`` is the time by which the row queues; ``tie``
    is what orders it among rows of other partitions with the same merge time, None where that is
    its own id.
    """

    def __init__(self, contract: EventContract, fields: Sequence[str], digest: str) -> None:
        self.attributes = {name: f"f{i}" for i, name in enumerate(fields)}
        id_type = _PYTHON[contract.fields[contract.id].type]
        self.new_row: Callable[..., Any] = msgspec.defstruct(
            "Row",
            [
                ("offset", _Int64),
                ("time", _Int64),
                ("arrived", _Int64),
                ("merge_time", _Int64),
                ("tie", id_type | None),
                *(
                    (self.attributes[name], _PYTHON[type_of(contract, name)] | None)
                    for name in fields
                ),
            ],
            array_like=True,
            gc=False,
        )
        self._digest = digest
        self._decoder = msgspec.msgpack.Decoder(tuple[str, SourceProgress, list[self.new_row]])  # type: ignore[name-defined]

    def encode(self, rows: list[Any], progress: SourceProgress) -> list[bytes]:
        """Records of at most `MAX_BYTES`; `progress` holds after the last."""
        return _encode(EVENTS, self._digest, rows, progress)

    def decode(self, body: bytes) -> tuple[SourceProgress, list[Any]]:
        """Read the body of an ``E`` record.

        Raises:
            MessageError: it is damaged, or carries other fields.
        """
        if (found := _digest_of(body)) != self._digest:
            raise MessageError(
                f"events were routed for other features ({found}, and not {self._digest}): "
                "after a change of [[features]] set a new stages.prefix"
            )
        _, progress, rows = _read(self._decoder, body)
        return progress, rows


_encoder = msgspec.msgpack.Encoder()
_labels = msgspec.msgpack.Decoder(tuple[str, SourceProgress, list[LabelRow]])
_features = msgspec.msgpack.Decoder(Features)
_first = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw, msgspec.Raw])


def encode_labels(rows: list[LabelRow], progress: SourceProgress) -> list[bytes]:
    """Records of labels; `progress` holds after the last."""
    return _encode(LABELS, "", rows, progress)


def decode_labels(body: bytes) -> tuple[SourceProgress, list[LabelRow]]:
    """Read the body of an ``L`` record.

    Raises:
        MessageError: it is damaged.
    """
    _, progress, rows = _read(_labels, body)
    return progress, rows


def encode_features(
    entity: str, digest: str, partition: int, offsets: NDArray[np.int64], rows: FeatureRows
) -> list[bytes]:
    """Records of features, ascending in offset."""
    flags = rows.late.astype(np.uint8) | (rows.approximate.astype(np.uint8) << 1)
    at_once = max(1, MAX_BYTES // (8 * rows.matrix.shape[1] + 9))
    encoded = []
    for first in range(0, len(offsets), at_once):
        part = slice(first, first + at_once)
        message = Features(
            entity,
            digest,
            partition,
            offsets[part].astype("<i8").tobytes(),
            rows.matrix[part].astype("<f8").tobytes(),
            flags[part].tobytes(),
        )
        encoded.append(_prefix(FEATURES) + _encoder.encode(message))
    return encoded


def decode_features(body: bytes) -> Features:
    """Read the body of an ``F`` record.

    Raises:
        MessageError: it is damaged.
    """
    message: Features = _read(_features, body)
    count = len(message.flags)
    if len(message.offsets) != 8 * count or (
        len(message.matrix) % (8 * count) if count else message.matrix
    ):
        raise MessageError("a record of features has columns of different lengths")
    return message


def open_message(value: bytes | None) -> tuple[bytes, bytes]:
    """Kind and body of a record.

    Raises:
        MessageError: it is none of ours, or of another version.
    """
    if value is None or len(value) < 2:
        raise MessageError(f"the record is empty: {_FOREIGN}")
    if value[0] != VERSION:
        raise MessageError(
            f"the record has format version {value[0]}, and this program reads {VERSION}: let the "
            "stages run in one version, or begin with new stage topics"
        )
    return value[1:2], value[2:]


def _encode(kind: bytes, digest: str, rows: list[Any], progress: SourceProgress) -> list[bytes]:
    value = _prefix(kind) + _encoder.encode((digest, progress, rows))
    if len(value) <= MAX_BYTES or len(rows) < 2:
        return [value]
    half = len(rows) // 2
    between = SourceProgress(
        progress.partition, rows[half - 1].offset + 1, rows[half - 1].merge_time, False
    )
    return _encode(kind, digest, rows[:half], between) + _encode(
        kind, digest, rows[half:], progress
    )


def _prefix(kind: bytes) -> bytes:
    return bytes([VERSION]) + kind


def _digest_of(body: bytes) -> str:
    digest: str = _read(_first, body)[0]
    return digest


def _read(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(
            f"the record is damaged, or somebody else's ({error}): {_FOREIGN}"
        ) from error
