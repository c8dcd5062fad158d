"""Reads the control topic for several who go by it."""

from collections.abc import Callable

from streams.kafka.records.control_topic import ControlReader, ControlRecord


class ControlListener:
    """A reader of the control topic of which others hear first. As `ControlReader`.

    Args:
        hear: told of each record, in their order.
    """

    def __init__(self, reader: ControlReader, *hear: Callable[[ControlRecord], object]) -> None:
        self._reader = reader
        self._hear = hear

    def read(self, timeout_s: float) -> list[ControlRecord]:
        """See `ControlReader`."""
        records = self._reader.read(timeout_s)
        for record in records:
            self._tell(record)
        return records

    def read_to_end(self, counts: Callable[[ControlRecord], bool]) -> dict[str, ControlRecord]:
        """See `ControlReader`."""

        def heard(record: ControlRecord) -> bool:
            self._tell(record)
            return counts(record)

        return self._reader.read_to_end(heard)

    def close(self) -> None:
        """See `ControlReader`."""
        self._reader.close()

    def _tell(self, record: ControlRecord) -> None:
        for hear in self._hear:
            hear(record)
