"""Logarithms of the regularised incomplete beta function where the function itself underflows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincc, betaln  # type: ignore[import-untyped]

_TINY = 1e-280
"""Below this, `betainc` loses digits, and is 0 soon."""


def log_betainc(a: ArrayLike, b: ArrayLike, x: float) -> NDArray[np.float64]:
    """Return ln I_x(a, b), of the shape that ``a`` and ``b`` broadcast to.

    Where I underflows it is x^a (1-x)^b / (a B(a, b)) times a continued fraction (DLMF 8.17.22),
    which converges fast there, since x lies far below a / (a + b).
    """
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    inside = betainc(a, b, x)
    with np.errstate(divide="ignore"):
        result = np.asarray(np.where(inside > 0.5, np.log1p(-betaincc(a, b, x)), np.log(inside)))
    small = inside < _TINY
    if small.any():
        p, q = a[small], b[small]
        power = p * np.log(x) + q * np.log1p(-x) - np.log(p) - betaln(p, q)
        result[small] = power + np.log(_fraction(p, q, x))
    return result


def _fraction(a: NDArray[np.float64], b: NDArray[np.float64], x: float) -> NDArray[np.float64]:
    """The continued fraction 1 / (1 + d1 / (1 + d2 / ...)) by Lentz's algorithm."""
    c = np.ones_like(a)
    d = 1 / (1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, 1_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            value *= c * d
        if (np.abs(c * d - 1) < 1e-15).all():
            break
    return value
