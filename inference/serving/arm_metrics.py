"""Metrics of the arms, by arm and model."""

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from inference.policy.policy import DECISIONS
from inference.routing.arm import FAILURES
from inference.routing.verdicts import Routes, Verdicts

_BY = ("arm", "model")


class ArmMetrics:
    """What each arm answered, and for how many events the champion stood in for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._share = Gauge(
            "weir_arm_keys_ratio",
            "An arm's share of the keys",
            _BY,
            unit="ratio",
            registry=registry,
        )
        self._decisions = Counter(
            "weir_arm_decisions",
            "Events by the arm whose keys they have, the model that answered, and the decision",
            [*_BY, "decision"],
            registry=registry,
        )
        self._stood_in = Counter(
            "weir_arm_stand_ins",
            "Events of an arm that the champion answered, by why the arm gave no answer",
            ["arm", "reason"],
            registry=registry,
        )

    def show(self, routes: Routes) -> None:
        """Show the arms that there are now."""
        self._share.clear()
        for name, share, served in zip(
            routes.names, routes.shares.tolist(), routes.served, strict=True
        ):
            self._share.labels(name, served.model).set(share)

    def count(self, verdicts: Verdicts) -> None:
        """Count events that are answered."""
        routes = verdicts.routes
        for by, serving, rows in verdicts.answered_by():
            decided = verdicts.decisions[rows]
            for place in np.unique(verdicts.arm[rows]).tolist() if verdicts.routed else (0,):
                of_arm = decided[verdicts.arm[rows] == place]
                counts = np.bincount(of_arm, minlength=len(DECISIONS)).tolist()
                for decision, count in zip(DECISIONS, counts, strict=True):
                    labels = (routes.names[place], serving.model, decision)
                    self._decisions.labels(*labels).inc(count)
            if by == 0 and verdicts.failure.any():
                self._count_failures(verdicts)

    def _count_failures(self, verdicts: Verdicts) -> None:
        for code, why in enumerate(FAILURES, 1):
            failed = np.bincount(
                verdicts.arm[verdicts.failure == code], minlength=len(verdicts.routes.names)
            )
            for name, count in zip(verdicts.routes.names, failed.tolist(), strict=True):
                if count:
                    self._stood_in.labels(name, why).inc(count)
