"""Mean and scale of features: out of a file, or of the data."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.importing.static.refusal import ImportRefusedError

Scaling = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and scale, each of all declared features."""

_FORM = 'Write {"feature": [mean, scale], ...} for each feature that the model reads'


def read_scaling(path: Path, declared: Sequence[str]) -> Scaling:
    """Return what a JSON file ``{"feature": [mean, scale], ...}`` says, and 0 and 1 for others.

    Raises:
        ImportRefusedError: it is no such file, or names a feature that is not declared.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pairs = {name: (float(mean), float(scale)) for name, (mean, scale) in content.items()}
    except OSError as error:
        raise ImportRefusedError(
            "", f"it cannot be read: {error.strerror}", "Check --scale", str(path)
        ) from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ImportRefusedError("", "it is no scaling file", _FORM, str(path)) from error
    if unknown := sorted(pairs.keys() - set(declared)):
        raise ImportRefusedError(
            repr(unknown[0]), "[features] do not declare it", "Correct its name", str(path)
        )
    for name, (mean, scale) in pairs.items():
        with np.errstate(over="ignore"):  # as the graph will hold them
            held = np.array([mean, scale], np.float32)
        if not (np.isfinite(held).all() and held[1] != 0):
            raise ImportRefusedError(
                repr(name),
                f"mean {mean} and scale {scale} must be finite, and the scale not 0",
                _FORM,
                str(path),
            )
    chosen = [pairs.get(name, (0.0, 1.0)) for name in declared]
    return tuple(mean for mean, _ in chosen), tuple(scale for _, scale in chosen)


def fit_scaling(rows: NDArray[np.float32]) -> Scaling:
    """Return mean and standard deviation of rows (n, k), without what is missing.

    A feature that never changes has the scale 1.
    """
    means, scales = [], []
    for column in rows.T:
        values = column[np.isfinite(column)].astype(np.float64)
        spread = float(values.std()) if len(values) else 0.0
        means.append(float(values.mean()) if len(values) else 0.0)
        scales.append(spread if np.float32(spread) > 0 else 1.0)
    return tuple(means), tuple(scales)


def fit_medians(rows: NDArray[np.float32]) -> tuple[float, ...]:
    """Return the median of each column of rows (n, k), without what is missing; 0 for no value."""
    known = [column[np.isfinite(column)] for column in rows.T]
    return tuple(float(np.median(values)) if len(values) else 0.0 for values in known)
