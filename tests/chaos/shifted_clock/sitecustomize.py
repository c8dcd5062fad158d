"""Run by Python at start-up where it is on the path: the process's wall clock can then jump.

The file that ``CHAOS_CLOCK`` names holds one float64, the seconds by which the clock is wrong.
All wall-clock times that Weir reads come from ``time.time`` and ``time.time_ns``.
"""

import mmap
import os
import struct
import time

if "CHAOS_CLOCK" in os.environ:
    with open(os.environ["CHAOS_CLOCK"], "rb") as _file:
        _offset = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _time, _time_ns = time.time, time.time_ns

    def _wrong_s() -> float:
        seconds: float = struct.unpack_from("<d", _offset)[0]
        return seconds

    time.time = lambda: _time() + _wrong_s()
    time.time_ns = lambda: _time_ns() + int(_wrong_s() * 1e9)
