"""What the monitor would have counted of a feature."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from inference.packages.drift_reference import fit_histogram
from monitoring.breakage.kinds import FeatureCounts
from monitoring.breakage.magnitudes import magnitudes
from monitoring.breakage.stuck import Repeats


def counted(
    past: ArrayLike,
    values: ArrayLike,
    producers: Sequence[str] = (),
    usual: float | None = None,
    name: str = "amount",
) -> FeatureCounts:
    """Count the reference's rows and the values of now, of each producer (one per value)."""
    reference, now = np.asarray(past, np.float32), np.asarray(values, np.float32)
    repeats = Repeats.none(1)
    repeats.add(now[:, None])
    of = np.array(producers)
    return FeatureCounts(
        name,
        fit_histogram(reference, 20),
        magnitudes(reference),
        magnitudes(now),
        repeats.of(0),
        usual,
        {each: magnitudes(now[of == each]) for each in dict.fromkeys(producers)},
    )
