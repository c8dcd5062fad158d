"""Optimisation profiles: ranges of batch sizes that kernels are tuned for."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_UP_TO = (32, 512)
"""A small, a middle and a large profile: a kernel that is best at one row is not at thousands."""


class Profile(NamedTuple):
    """Batch sizes from `smallest` to `largest`, tuned for `typical`."""

    smallest: int
    typical: int
    largest: int


def profiles_of(buckets: Sequence[int]) -> tuple[Profile, ...]:
    """Return up to three profiles that cover the buckets without a gap.

    Those of few rows are tuned for their smallest bucket, since latency counts there, the others
    for their largest.

    Args:
        buckets: batch sizes, ascending from 1.

    >>> profiles_of((1, 8, 32, 128, 512, 2048, 4096))
    (Profile(smallest=1, typical=1, largest=32), Profile(smallest=33, typical=512, largest=512), \
Profile(smallest=513, typical=4096, largest=4096))
    >>> profiles_of((1, 2048))
    (Profile(smallest=1, typical=1, largest=1), Profile(smallest=2, typical=2048, largest=2048))
    """
    bounds = (0, *_UP_TO, buckets[-1])
    profiles: list[Profile] = []
    for above, up_to in pairwise(bounds):
        inside = [size for size in buckets if above < size <= up_to]
        if inside:
            smallest = profiles[-1].largest + 1 if profiles else 1
            typical = inside[0] if up_to == _UP_TO[0] else inside[-1]
            profiles.append(Profile(smallest, typical, inside[-1]))
    return tuple(profiles)


def profile_index(profiles: Sequence[Profile], rows: int) -> int:
    """Return which profile a batch of `rows` belongs to."""
    return next(i for i, profile in enumerate(profiles) if rows <= profile.largest)
