"""Chances of fraud of young events, and how much they say."""

import numpy as np
from numpy.typing import NDArray


def certainty(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 - entropy in bits of chances (n,): 1 where they are 0 or 1, 0 where they are 1/2.

    So much weight an event has that is trained on with a chance for a label. Events behind a
    pattern that is fraud in half of the cases teach a model that they are fraud in half of the
    cases, which is what blurs the others; on the Fraud Detection Handbook they cost what the sure
    ones gain.
    """
    sure = np.clip(chance, 1e-12, 1 - 1e-12)
    return np.asarray(1 + sure * np.log2(sure) + (1 - sure) * np.log2(1 - sure))


def chance_of_the_rest(chance: NDArray[np.float64], known: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the chances of young events (n,) once those that are known already are left aside.

    Frauds are reported early: of those expected, a share s is known, and what is not reported is
    the less likely one. By Bayes' rule: chance (1 - s) / (1 - chance s). Known events have their
    label for a chance.

    Args:
        chance: of fraud, before anything was reported.
        known: 1 for fraud, 0 for legitimate, -1 for unknown, (n,).
    """
    expected = chance.sum()
    reported = min(float(np.count_nonzero(known == 1) / expected), 1.0) if expected else 0.0
    rest = chance * (1 - reported) / np.maximum(1 - chance * reported, 1e-12)
    return np.where(known < 0, rest, known)
