"""What the training data say of one column: how often each value occurs, and its bins."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log1p, log_ndtr, ndtr, ndtri_exp  # type: ignore[import-untyped]
from sklearn.tree import DecisionTreeClassifier

from explain.exact.settings import Discretizer

_PERCENTILES = {"quartile": (25, 50, 75), "decile": (10, 20, 30, 40, 50, 60, 70, 80, 90)}
_LEAST_DEVIATION = 1e-11
"""What the package adds to every bin's standard deviation, so that none is zero."""


class Shares:
    """The distinct values of a column, drawn as often as they occur in it."""

    def __init__(self, column: NDArray[Any]) -> None:
        values, counts = np.unique(column, return_counts=True)
        self._values: NDArray[Any] = values
        cumulative = np.cumsum(counts / counts.sum())
        self._cumulative = cumulative / cumulative[-1]

    def draw(self, count: int, random_state: np.random.RandomState) -> NDArray[Any]:
        """Return (count,) values: what ``random_state.choice`` would draw by these shares."""
        uniform = random_state.random_sample(count)
        drawn: NDArray[Any] = self._values[self._cumulative.searchsorted(uniform, side="right")]
        return drawn


class Bins:
    """The bins of one column; in each, a normal distribution cut off at the bin's bounds.

    A value belongs to the bin whose upper border is the first that is not below it.
    """

    def __init__(self, column: NDArray[np.float64], borders: NDArray[np.float64]) -> None:
        """Fit each bin's mean and standard deviation to those of the (n,) values that are in it."""
        self._borders = np.unique(borders)
        codes = self.code(column)
        members = [column[codes == code] for code in range(len(self._borders) + 1)]
        self._means = np.array([part.mean() if len(part) else 0.0 for part in members])
        self._deviations = _LEAST_DEVIATION + np.array(
            [part.std() if len(part) else 0.0 for part in members]
        )
        lowest = np.concatenate(([column.min()], self._borders))
        highest = np.concatenate((self._borders, [column.max()]))
        self._low = (lowest - self._means) / self._deviations
        high = (highest - self._means) / self._deviations
        self._wide = self._low != high
        self._from_left = self._low < 0
        self._log_mass = _log_normal_mass(self._low, high)
        self._log_tail = np.where(self._from_left, log_ndtr(self._low), log_ndtr(-high))

    def code(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of the bin that each value is in, from 0."""
        return np.searchsorted(self._borders, values)

    def draw(
        self, codes: NDArray[np.intp], random_state: np.random.RandomState
    ) -> NDArray[np.float64]:
        """Return one value for each code, drawn from that bin's distribution.

        For a bin without width, the package takes the bound in standard deviations for the value,
        and draws nothing; so does this.
        """
        values: NDArray[np.float64] = self._low[codes]
        wide = self._wide[codes]
        inside = codes[wide]
        scores = self._scores(inside, random_state.random_sample(len(inside)))
        values[wide] = scores * self._deviations[inside] + self._means[inside]
        return values

    def _scores(self, codes: NDArray[np.intp], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Invert the truncated normal's distribution function, in standard deviations.

        The log of the normal's own is that of its tail below the bin and a share of the bin's mass,
        added as `scipy.stats.truncnorm` does, to the bit; but what depends on the bin alone is
        looked up, where scipy computes it for every value. Bins above the mean are mirrored.
        """
        from_left = self._from_left[codes]
        with np.errstate(divide="ignore"):  # 0 is drawn as well
            share = np.log(uniform)
        if not from_left.all():
            share = np.where(from_left, share, np.log1p(-uniform))
        share += self._log_mass[codes]
        tail = self._log_tail[codes]
        larger = np.maximum(tail, share)
        scores: NDArray[np.float64] = ndtri_exp(
            larger + np.log1p(np.exp(np.minimum(tail, share) - larger))
        )
        return scores if from_left.all() else np.where(from_left, scores, -scores)


def _log_normal_mass(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of the standard normal's probability between two bounds.

    On one side of zero it is a difference of two logs in the left tail, where they are accurate.
    The two libraries' ``log1p`` round differently; each stands where `scipy.stats` has it.
    """
    near = np.where(low > 0, -low, high)
    far = np.where(low > 0, -high, low)
    with np.errstate(all="ignore"):  # each formula where it is not used, and bins without width
        aside = log_ndtr(near) + np.log1p(-np.exp(log_ndtr(far) - log_ndtr(near)))
        across = log1p(-ndtr(low) - ndtr(-high))
    mass: NDArray[np.float64] = np.where((low > 0) | (high <= 0), aside, across)
    return mass


def bin_borders(
    column: NDArray[np.float64],
    discretizer: Discretizer,
    labels: NDArray[np.int8] | None,
    random_state: np.random.RandomState,
) -> NDArray[np.float64]:
    """Return a column's inner borders, of which some may be equal.

    Quartiles or deciles; or, for ``"entropy"``, the thresholds of a decision tree of depth three
    that tells the labels apart by this column (for which it takes one number from the stream).
    """
    if discretizer != "entropy":
        return np.percentile(column, _PERCENTILES[discretizer])
    tree = DecisionTreeClassifier(criterion="entropy", max_depth=3, random_state=random_state)
    tree.fit(column.reshape(-1, 1), labels)
    inner = tree.tree_.children_left > -1
    return tree.tree_.threshold[inner] if inner.any() else np.array([np.median(column)])
