"""Feature state as a header and raw buffers, and back: `FeatureState.dump` and `load`.

The header is MessagePack and says what follows; the buffers are the state's own memory, of each
entity in the order of `ENTITY_BUFFERS`, so that a dump costs nothing and a load is a copy.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings

Buffer = bytes | memoryview

LAYOUT_VERSION = 2
"""Raised with every change of what is in the header or the buffers."""


class DumpMismatchError(ValueError):
    """A dump is of other features or settings than the state that is wanted."""


class CorruptStateError(ValueError):
    """A dump is not what `FeatureState.dump` wrote."""


class EntityHeader(msgspec.Struct):
    """What is known of one entity's windows besides its buffers.

    Attributes:
        places: size of the arena.
        index_places, tile_rows: sizes of the id index and of the tiles.
        counters: see `streams.features.kernels.enums.Counter`.
        buffers: ``(dtype, shape)`` of each buffer that follows, in order.
    """

    entity: str
    places: int
    index_places: int
    tile_rows: int
    indexed: int
    counters: list[int]
    buffers: list[tuple[str, list[int]]] = []


class Header(msgspec.Struct):
    """The first buffer of a dump.

    Attributes:
        secret: what hashes and places in the state depend on; see `streams.features.hashing`.
    """

    layout: int
    schema_hash: str
    event_ids: str
    allowed_lateness: int
    max_events_per_entity: int
    secret: bytes = b""
    entities: list[EntityHeader] = []


def new_header(plan: FeaturePlan, settings: WindowSettings) -> Header:
    """Return the header of a state without its entities."""
    return Header(
        layout=LAYOUT_VERSION,
        schema_hash=plan.schema_hash,
        event_ids=plan.contract.fields[plan.contract.id].type,
        allowed_lateness=settings.allowed_lateness,
        max_events_per_entity=settings.max_events_per_entity,
    )


_MEANINGS = {
    "schema_hash": "feature schema hash",
    "event_ids": "type of the event ids",
    "allowed_lateness": "windows.allowed_lateness in ms",
    "max_events_per_entity": "windows.max_events_per_entity",
}


class _Layout(msgspec.Struct):
    layout: int


def read_header(buffers: Sequence[Buffer], wanted: Header) -> Header:
    """Return the header of a dump that fits the state which is wanted.

    Raises:
        DumpMismatchError: naming all that differs.
        CorruptStateError: this is no dump, or not all of it.
    """
    try:
        # Only what every version has: an older header need not have the other fields.
        layout = msgspec.msgpack.decode(buffers[0], type=_Layout).layout
        if layout != wanted.layout:
            raise DumpMismatchError(
                f"the state was dumped in layout version {layout}, this program reads version "
                f"{wanted.layout}"
            )
        header = msgspec.msgpack.decode(buffers[0], type=Header)
    except (msgspec.DecodeError, IndexError) as error:
        raise CorruptStateError(f"the header of the dumped state can't be read: {error}") from error
    differences = [
        f"{meaning} {getattr(header, name)}, wanted {getattr(wanted, name)}"
        for name, meaning in _MEANINGS.items()
        if getattr(header, name) != getattr(wanted, name)
    ]
    if differences:
        raise DumpMismatchError("the state was dumped with " + "; ".join(differences))
    announced = 1 + sum(len(entity.buffers) for entity in header.entities)
    if announced != len(buffers):
        raise CorruptStateError(
            f"the dumped state has {len(buffers)} buffers, its header announces {announced}"
        )
    return header


def describe(buffers: Sequence[NDArray[np.generic] | bytes]) -> list[tuple[str, list[int]]]:
    """Return ``(dtype, shape)`` of each buffer; that of bytes is ``bytes`` and their number."""
    return [
        ("bytes", [len(buffer)])
        if isinstance(buffer, bytes)
        else (buffer.dtype.str, list(buffer.shape))
        for buffer in buffers
    ]


def view(buffer: NDArray[np.generic] | bytes) -> Buffer:
    """Return a buffer's bytes without copying them."""
    if isinstance(buffer, bytes):
        return buffer
    return buffer.data.cast("B") if buffer.size else b""


class Reader:
    """Hands out the buffers of a dump one after another, each checked against the header."""

    def __init__(self, buffers: Sequence[Buffer], header: Header) -> None:
        described = [each for entity in header.entities for each in entity.buffers]
        self._rest = iter(zip(buffers[1:], described, strict=True))

    def bytes(self) -> Buffer:
        """Return the next buffer, which holds bytes."""
        buffer, (kind, shape) = next(self._rest)
        if kind != "bytes" or [memoryview(buffer).nbytes] != shape:
            raise CorruptStateError("the dumped names of entities are cut or out of place")
        return buffer

    def array(self, dtype: DTypeLike, *shape: int) -> NDArray[np.generic]:
        """Return the next buffer as a read-only array without copying it."""
        buffer, (kind, described) = next(self._rest)
        expected = np.dtype(dtype)
        wanted = (expected.str, list(shape), int(np.prod(shape)) * expected.itemsize)
        found = (kind, described, memoryview(buffer).nbytes)
        if found != wanted:
            raise CorruptStateError(
                f"a buffer of the dumped state is {found[0]} {found[1]} in {found[2]} bytes, "
                f"expected {wanted[0]} {wanted[1]} in {wanted[2]}"
            )
        return np.frombuffer(buffer, expected).reshape(shape)
