"""What models and policies said of a batch of events, and which of them said it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.routing.served_model import ServedModel


@dataclass(frozen=True)
class Routes:
    """The arms of a moment, the champion first; other arrays hold places in these.

    Attributes:
        experiment: its name; empty where there is none.
        names: of the arms.
        shares: of the keys, that each has, float32.
        served: what answers for each; the champion where an arm is not ready.
    """

    experiment: str
    names: tuple[str, ...]
    shares: NDArray[np.float32]
    served: tuple[ServedModel, ...]


@dataclass(frozen=True)
class Verdicts:
    """What is said of n events.

    Attributes:
        outputs: ``NaN`` where the policy's fallback answered.
        decisions: codes, (n,).
        fallback: the fallback answered, (n,).
        routes: the arms of then.
        arm: to which arm each event's key belongs, int8 (n,).
        by: which arm answered, int8 (n,): the champion's 0, or `arm`.
        failure: why the arm did not, where the champion stood in for it: 1 more than the place in
            `inference.routing.arm.FAILURES`; 0 elsewhere; int8 (n,).
        approve_through: where the champion would decline, the chance with which that is approved
            nevertheless, ``NaN`` elsewhere, float64 (n,); None where nothing ever is.
    """

    outputs: Outputs
    decisions: NDArray[np.int8]
    fallback: NDArray[np.bool_]
    routes: Routes
    arm: NDArray[np.int8]
    by: NDArray[np.int8]
    failure: NDArray[np.int8]
    approve_through: NDArray[np.float64] | None = None

    def answered_by(self) -> Iterator[tuple[int, ServedModel, NDArray[np.intp]]]:
        """Each arm that answered events, what served for it, and the rows of these."""
        for place in range(len(self.routes.served)):
            rows = np.flatnonzero(self.by == place)
            if rows.size:
                yield place, self.routes.served[place], rows

    @property
    def routed(self) -> bool:
        """Whether there is more than the champion."""
        return len(self.routes.names) > 1

    def policies(self) -> list[str]:
        """Version of the policy that decided each event."""
        return self._of_answerers([each.policy.version for each in self.routes.served])

    def models(self) -> list[str]:
        """Name of the model that answered each event."""
        return self._of_answerers([each.model for each in self.routes.served])

    def _of_answerers(self, values: Sequence[str]) -> list[str]:
        return list(map(values.__getitem__, self.by.tolist()))
