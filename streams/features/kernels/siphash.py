"""Compiled: SipHash-1-3 of texts, which only those can foresee who know the key.

It is what Python itself hashes strings with, by a key that no process shares with another.
"""

import numpy as np

from streams.features.kernels.numba_options import inlined, kernel


@inlined
def _turned(bits, by):  # type: ignore[no-untyped-def]
    return (bits << np.uint64(by)) | (bits >> np.uint64(64 - by))


@inlined
def _round(a, b, c, d):  # type: ignore[no-untyped-def]
    a, c = a + b, c + d
    b, d = _turned(b, 13) ^ a, _turned(d, 16) ^ c
    a = _turned(a, 32)
    c, a = c + b, a + d
    b, d = _turned(b, 17) ^ c, _turned(d, 21) ^ a
    return a, b, _turned(c, 32), d


@kernel
def siphash(data, ends, key, hashes):  # type: ignore[no-untyped-def]
    """Hash texts that stand one behind another.

    Args:
        data: uint8 (bytes,).
        ends: where each text ends, int64 (n,).
        key: int64 (2,).
        hashes: filled, int64 (n,).
    """
    first = np.uint64(key[0])
    second = np.uint64(key[1])
    start = 0
    for text in range(ends.size):
        length = ends[text] - start
        a = first ^ np.uint64(0x736F6D6570736575)
        b = second ^ np.uint64(0x646F72616E646F6D)
        c = first ^ np.uint64(0x6C7967656E657261)
        d = second ^ np.uint64(0x7465646279746573)
        for at in range(start, start + length + 1, 8):
            word = np.uint64(0)
            if at + 8 <= ends[text]:
                for byte in range(8):
                    word |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
            else:
                for byte in range(ends[text] - at):
                    word |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
                word |= np.uint64(length & 255) << np.uint64(56)
            d ^= word
            a, b, c, d = _round(a, b, c, d)
            a ^= word
        c ^= np.uint64(255)
        for _ in range(3):
            a, b, c, d = _round(a, b, c, d)
        hashes[text] = np.int64(a ^ b ^ c ^ d)
        start = ends[text]
