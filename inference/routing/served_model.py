"""What answers events: a model on its engine, and a policy."""

from dataclasses import dataclass
from time import perf_counter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Engine, Outputs
from inference.policy.policy import Policy
from inference.routing.deadline import LatencyModel

_TIMED_ROUNDS = 3
_TIMED_S = 0.008
"""A batch size that takes longer is timed no more: the loop wants the processor meanwhile."""


@dataclass(frozen=True)
class ServedModel:
    """A model on its engine, and the policy that decides by its answers.

    Attributes:
        package: id of the model's package.
        engine: takes vectors in the order of the plan's names.
        latency: what the engine is known to need; goes with it when the policy changes.
    """

    package: str
    engine: Engine
    policy: Policy
    latency: LatencyModel

    @classmethod
    def of(cls, package: str, engine: Engine, policy: Policy) -> Self:
        """What serves with an engine that nothing is known about yet."""
        return cls(package, engine, policy, LatencyModel(engine.info.buckets))

    @property
    def model(self) -> str:
        """The model's name in scores: the first 12 digits of its package's id."""
        return self.package[:12]

    def warm_up(self) -> None:
        """Make ready what is slow the first time, and see how fast the engine is."""
        self.engine.warm_up()
        info = self.engine.info
        for size in info.buckets:
            rows = np.zeros((size, info.width), np.float32)
            deadline = perf_counter() + _TIMED_S
            for _ in range(_TIMED_ROUNDS):
                self.infer(rows)
                if perf_counter() > deadline:
                    break

    def infer(self, features: NDArray[np.float32]) -> Outputs:
        """The engine's answers; the time that they took is learned from."""
        start = perf_counter()
        outputs = self.engine.infer(features)
        self.latency.observe(len(features), perf_counter() - start)
        return outputs
