"""Compiled: where a key stands in a table, so that nobody who sends keys can tell.

A number that everybody can compute, such as SplitMix64's, lets a sender choose ids that all begin
at one place, and each look-up then walks past all of them. Here the place depends on a secret of
the state's own: two rounds of a product of 128 bits, folded to 64, as in wyhash. It costs about
what SplitMix64 costs.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streams.features.kernels.numba_options import inlined

SECRET_WORDS = 4


@intrinsic  # type: ignore[untyped-decorator]
def _fold(_typing_context: Any, first: Any, second: Any) -> Any:
    """The upper and the lower half of a product of two uint64, one laid over the other."""
    if (first, second) != (types.uint64, types.uint64):
        return None

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(*(builder.zext(each, wide) for each in arguments))
        upper = builder.trunc(builder.lshr(product, wide(64)), word)
        return builder.xor(upper, builder.trunc(product, word))

    return types.uint64(types.uint64, types.uint64), generate


@inlined
def mix(key, secret):  # type: ignore[no-untyped-def]
    """Spread an int64 over 63 bits, by the int64 words of a secret."""
    one = np.uint64(1)
    bits = _fold(np.uint64(key) ^ np.uint64(secret[0]), np.uint64(secret[1]) | one)
    bits = _fold(bits ^ np.uint64(secret[2]), np.uint64(secret[3]) | one)
    return np.int64(bits >> one)
