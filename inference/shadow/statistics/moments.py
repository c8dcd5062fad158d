"""Mean and variance of a column as whole numbers: the same to the bit whatever the order.

Sums of floats depend on the order of their terms, and so on partitions and restarts. Here each
value is rounded to a multiple of 2^-24 (6e-8), once, and the multiples are added exactly, as
Python's integers: sums of squares outgrow 64 bits. The mean is off by 3e-8 at most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

STEP = 2.0**-24


def in_steps(values: ArrayLike) -> list[int]:
    """Values (n,) as multiples of `STEP`, the nearest.

    Raises:
        ValueError: a value is not finite.
    """
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: leave out events that have none")
    return [int(value) for value in np.rint(values / STEP).tolist()]


@dataclass(frozen=True)
class Moments:
    """How many values there were, their sum in `STEP`, and their squares' sum in its square."""

    count: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def of(cls, values: ArrayLike, zeros: int = 0) -> "Moments":
        """Take values (n,) and, uncounted among them, ``zeros``: events that change nothing.

        Raises:
            ValueError: a value is not finite.
        """
        steps = in_steps(values)
        return cls(len(steps) + zeros, sum(steps), sum(each * each for each in steps))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    @property
    def mean(self) -> float:
        """``NaN`` without values."""
        return self.total / self.count * STEP if self.count else float("nan")

    @property
    def variance(self) -> float:
        """Mean squared distance from the mean; ``NaN`` without values."""
        if not self.count:
            return float("nan")
        spread = self.count * self.squares - self.total * self.total
        return spread / (self.count * self.count) * STEP * STEP
