"""What a plot of scores beside scores is drawn from."""

import numpy as np

from inference.shadow.statistics.similarity import BINS, REACH, Similarity

SCORE_BINS = 32
"""Of each model, equally wide in logits: `BINS` of `Similarity`, eight by eight."""


def score_edges() -> tuple[float, ...]:
    """The lowest logit of each bin, and the highest one of the last, (`SCORE_BINS` + 1,)."""
    return tuple(np.linspace(-REACH, REACH, SCORE_BINS + 1).tolist())


def score_cells(alike: Similarity) -> list[list[int]]:
    """How many events have both scores there, as [champion's bin, candidate's bin, events]."""
    wide = BINS // SCORE_BINS
    counts = alike.score_counts.reshape(SCORE_BINS, wide, SCORE_BINS, wide)
    table = counts.sum(axis=(1, 3))
    return [[int(i), int(j), int(table[i, j])] for i, j in zip(*table.nonzero(), strict=True)]
