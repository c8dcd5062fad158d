"""How the kernels are compiled."""

from numba import njit

# The kernels allocate nothing, so that reference counting is left out: its atomic operations, at
# every call and every unpacked tuple, took half of the time. What is called for each event is
# inlined, for the same reason.
kernel = njit(cache=True, nogil=True, _nrt=False)
inlined = njit(nogil=True, _nrt=False, inline="always")
