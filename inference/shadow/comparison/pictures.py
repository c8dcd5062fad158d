"""What plots of a comparison are drawn from: scores beside scores, and the worst slices."""

from typing import Any

import numpy as np

from inference.shadow.comparison.comparison import Comparison
from inference.shadow.comparison.slices import slices
from inference.shadow.statistics.similarity import BINS, REACH

SCORE_BINS = 32
"""Of each model, equally wide in logits: `BINS` of `Similarity`, eight by eight."""

_MOST_VALUES = 50
"""A field with more tells events, or people, from each other, and no segments."""
_MOST_FIELDS, _WORST = 6, 8


def score_edges() -> tuple[float, ...]:
    """The lowest logit of each bin, and the highest one of the last, (`SCORE_BINS` + 1,)."""
    return tuple(np.linspace(-REACH, REACH, SCORE_BINS + 1).tolist())


def pictures(compared: Comparison) -> dict[str, Any]:
    """For programs.

    ``score_cells``: how many events have both scores there, as [champion's bin, candidate's bin,
    events]. ``slices``: of each field that went along and takes few values, those where the
    candidate saves least, or without costs flips most.
    """
    wide = BINS // SCORE_BINS
    counts = compared.similarity.score_counts.reshape(SCORE_BINS, wide, SCORE_BINS, wide)
    table = counts.sum(axis=(1, 3))
    cells = [[int(i), int(j), int(table[i, j])] for i, j in zip(*table.nonzero(), strict=True)]
    pairs, cost = compared.read.pairs, compared.cost
    costs = None if cost is None else cost.costs
    fields = [
        name for name, values in pairs.context.items() if 1 < len(set(values)) <= _MOST_VALUES
    ]
    worst = {
        name: [
            {"value": each.value, "events": each.events, "flips": each.flips, "saved": each.saved}
            for each in slices(pairs, compared.mature, name, costs)[:_WORST]
        ]
        for name in fields[:_MOST_FIELDS]
    }
    return {"score_cells": cells, "slices": worst}
