"""Labels that became known between the events of a batch."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelBatch:
    """Labels in the order in which they became known.

    Attributes:
        ids: ids of the events that they are about.
        values: 1 for fraud, 0 for legitimate, shape (m,).
        before: label k is known before event ``before[k]`` of the batch; ascending, shape (m,).
    """

    ids: list[Any] = field(default_factory=list)
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    before: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.ids)
