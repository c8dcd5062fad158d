"""Features as networks want them: missing values filled, spreads alike, tails bounded."""

import numpy as np
from numpy.typing import NDArray


def robust_scale(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return median and spread by column: the interquartile range, else the standard deviation."""
    center = np.zeros(rows.shape[1], np.float32)
    scale = np.ones(rows.shape[1], np.float32)
    for j, column in enumerate(rows.T):
        values = column[np.isfinite(column)].astype(np.float64)
        if len(values) == 0:
            continue
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        spread = (high - low) / 1.349 or values.std()  # 1.349: the normal distribution's range
        center[j] = middle
        if np.float32(spread) > 0:
            scale[j] = spread
    return center, scale


def scaled(
    rows: NDArray[np.float32], center: NDArray[np.float32], scale: NDArray[np.float32], clip: float
) -> NDArray[np.float32]:
    """Return clip((rows - center) / scale), 0 where a value is missing."""
    filled = np.where(np.isnan(rows), center, rows)
    z: NDArray[np.float32] = np.clip((filled - center) / scale, -clip, clip, dtype=np.float32)
    return z


def dense_layers(
    rows: NDArray[np.float32], layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
) -> NDArray[np.float32]:
    """Put rows (n, in) through layers of weights and biases, relu between them."""
    for index, (weights, bias) in enumerate(layers):
        rows = rows @ weights + bias
        if index < len(layers) - 1:
            rows = np.maximum(rows, np.float32(0))
    return rows
