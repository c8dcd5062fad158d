"""Checks which arm each event is of, by a hash of its key that is made here once more.

Nothing here calls Weir; SipHash-1-3 after its authors' paper (Aumasson and Bernstein, 2012).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

_MASK = (1 << 64) - 1
CHAMPION_ARM, CANARY_ARM = "champion", "canary"
UNKNOWN = "an arm or a share that no command has named"


@dataclass(frozen=True)
class Experiment:
    """What a command said of the canary; of each the share is another one.

    Attributes:
        name: what keys are mixed by.
        share: of the keys.
        model: its name in answers; empty for one that no scorer can open.
    """

    name: str
    share: float
    model: str

    def arm_of(self, key: str) -> str:
        """The arm of a key."""
        digest = blake2b(b"weir-arms\0" + self.name.encode(), digest_size=16).digest()
        first, second = (int.from_bytes(digest[at : at + 8], "little") for at in (0, 8))
        point = (siphash13(first, second, key.encode()) >> 11) * 2.0**-53
        return CANARY_ARM if point < self.share else CHAMPION_ARM


def of_share(experiments: Mapping[str, Experiment]) -> dict[tuple[str, float], str]:
    """Which experiment a record's arm and share are of: each share is there once."""
    found = {(CHAMPION_ARM, 1.0): ""}
    for name, each in experiments.items():
        found[CANARY_ARM, float(np.float32(each.share))] = name
        found[CHAMPION_ARM, float(np.float32(1.0 - each.share))] = name
    return found


def siphash13(first: int, second: int, text: bytes) -> int:
    """SipHash with one round for each word and three at the end."""
    state = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        state[3] ^= word
        _round(state)
        state[0] ^= word
    state[2] ^= 255
    for _ in range(3):
        _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(state: list[int]) -> None:
    a, b, c, d = state
    a, c = (a + b) & _MASK, (c + d) & _MASK
    b, d = _turned(b, 13) ^ a, _turned(d, 16) ^ c
    a = _turned(a, 32)
    c, a = (c + b) & _MASK, (a + d) & _MASK
    b, d = _turned(b, 17) ^ c, _turned(d, 21) ^ a
    state[:] = a, b, _turned(c, 32), d


def _turned(bits: int, by: int) -> int:
    return ((bits << by) | (bits >> (64 - by))) & _MASK


class ArmsOfKeys:
    """The arms of keys, each worked out once.

    Args:
        keys: by their codes.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._known: dict[tuple[str, int], str] = {}

    def arm(self, name: str, experiment: Experiment | None, code: int) -> str:
        """The arm of the key with this code, in an experiment of this name; None: there is none."""
        if experiment is None or code < 0:
            return CHAMPION_ARM
        place = (name, code)
        if place not in self._known:
            self._known[place] = experiment.arm_of(self._keys[code])
        return self._known[place]
