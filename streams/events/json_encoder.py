"""From a batch of events to JSON records, as `Decoder` reads them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.events.record_batch import EventBatch


class EventEncoder:
    """Encodes events as JSON objects with the contract's fields, and with nothing else.

    A missing value is null; the time is written in the contract's ``time_format``.
    """

    def __init__(self, contract: EventContract) -> None:
        self._contract = contract
        names = (contract.time, *contract.fields)
        # A struct is encoded several times faster than a dict.
        self._record = msgspec.defstruct(
            "Event",
            [(f"f{i}", Any, msgspec.field(name=name)) for i, name in enumerate(names)],
            gc=False,
        )
        self._encode_one = msgspec.json.Encoder().encode

    def encode(self, batch: EventBatch) -> list[bytes]:
        """One JSON object per event, in order."""
        columns = [batch.values(name) for name in self._contract.fields]
        records = map(self._record, self._times(batch.times), *columns)
        return list(map(self._encode_one, records))

    def _times(self, times: NDArray[np.int64]) -> Sequence[int | str]:
        written: NDArray[Any]
        match self._contract.time_format:
            case "s":
                written = times // 1000
            case "us":
                written = times * 1000
            case "iso":
                written = np.datetime_as_string(times.view("datetime64[ms]"), timezone="UTC")
            case _:
                written = times
        listed: list[int | str] = written.tolist()
        return listed
