"""What the retraining controller says of itself."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from monitoring.retraining.state import ControllerState, Phase


class RetrainingMetrics:
    """Gauges of the process that is at work; 0 in those that stand by."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._at_work = Gauge(
            "weir_retraining_controller_at_work",
            "1 where this controller is the one that decides",
            registry=registry,
        )
        self._phase = Gauge(
            "weir_retraining_phase", "1 for what the controller is at", ["phase"], registry=registry
        )
        self._hindered = Gauge(
            "weir_retraining_hindered",
            "1 where something asks for retraining, and something stands against it",
            registry=registry,
        )
        self._failed = Gauge(
            "weir_retraining_job_failed",
            "1 where the last job has failed or timed out",
            registry=registry,
        )
        self.failures = Counter(
            "weir_retraining_looks_failed",
            "Looks at which the registry, a runner or the cluster did not answer",
            registry=registry,
        )
        self.show(None)

    def show(self, state: ControllerState | None) -> None:
        """Show what is known; None where another process is at work."""
        self._at_work.set(state is not None)
        for phase in get_args(Phase):
            self._phase.labels(phase).set(state is not None and state.phase == phase)
        self._hindered.set(state is not None and bool(state.waits_for))
        job = None if state is None else state.job
        self._failed.set(job is not None and job.outcome in ("failed", "timed out"))
