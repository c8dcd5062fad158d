"""The columns of a batch as the kernels keep them: numbers, whatever the fields are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streams.events.record_batch import EventBatch
from streams.features.hashing import Secret
from streams.features.plan import LABEL_COLUMN, Column


def numbers_of(batch: EventBatch, columns: Sequence[Column], secret: Secret) -> NDArray[np.float64]:
    """Return what an entity remembers of n events, shape (columns, n); labels come later."""
    rows = np.empty((len(columns), len(batch)))
    for row, (how, name) in zip(rows, columns, strict=True):
        if how == "number":
            row[:] = batch.numbers(name)
        elif how == "text":
            row[:] = secret.hash_texts(batch.values(name))
        elif how == "integer":
            row[:] = secret.hash_integers(batch.values(name), batch.numbers(name))
        elif how == LABEL_COLUMN:
            row[:] = 0.0
    return rows
