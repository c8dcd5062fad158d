"""What share each feature has in what moves a model's answers."""

import numpy as np
from numpy.typing import NDArray

_ROWS_EXPLAINED = 1_000


def sample_to_explain(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return about a thousand of the rows (n, k), evenly spread; all where there are fewer."""
    return matrix[:: -(-len(matrix) // _ROWS_EXPLAINED)]


def shares_of(effects: NDArray[np.float64]) -> list[float]:
    """Return effects (k,), none below 0, over the sum of all; zeros where there is none."""
    shares: list[float] = np.round(effects / (effects.sum() or 1), 6).tolist()
    return shares
