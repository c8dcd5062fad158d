"""The wall clock of all scorers, which can be set wrong while they run."""

import struct
from pathlib import Path

_CODE = Path(__file__).with_name("shifted_clock")


class Clock:
    """A file that every scorer reads its clock's error from; see ``sitecustomize.py``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(struct.pack("<d", 0.0))

    def jump(self, seconds: float) -> None:
        """From now on the clock is wrong by so much; 0 sets it right."""
        with self._path.open("r+b") as file:
            file.write(struct.pack("<d", seconds))

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to live by this clock."""
        return {"PYTHONPATH": str(_CODE), "CHAOS_CLOCK": str(self._path)}
