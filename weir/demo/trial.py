"""What goes on beside the scorer while events are live: a candidate is tried, and drift watched."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from threading import Event, Thread
from typing import Any, Self

from weir.config.errors import DemoError
from weir.demo.stage import Stage

_SHARE = 0.1
"""Of the keys, for which the canary answers."""
_LOOK_S = 1.0
_PROCESSES = ("shadow", "monitor")


@dataclass
class Tried:
    """What is known of it so far.

    Attributes:
        stage: what is done, in words.
        scored: events that the shadow has asked the candidate about.
        mature: of these, events old enough to be judged by their labels.
        canary: events that the canary has answered.
        episodes: of drift that are open.
    """

    stage: str = ""
    scored: int = 0
    mature: int = 0
    canary: int = 0
    episodes: int = 0


class Trial:
    """A candidate in the shadow, then as a canary, and the monitor. A context manager.

    The block begins when the candidate answers. A thread gives Weir's commands, as a person would;
    what fails there is raised at the end.

    Args:
        candidate: its version in the registry.
        answered: events by the arm that has answered them.
    """

    def __init__(self, stage: Stage, candidate: str, answered: Callable[[str], int]) -> None:
        self.seen = Tried(f"version {candidate} is tried in the shadow")
        self._stage, self._candidate, self._answered = stage, candidate, answered
        self._over = Event()
        self._failure: DemoError | None = None
        self._thread = Thread(target=self._run, name="trial", daemon=True)

    def __enter__(self) -> Self:
        for name in _PROCESSES:
            self._stage.start(name)
        self._stage.weir("shadow", "add", self._candidate)
        self._stage.until("the candidate", self._answers)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def found(self) -> dict[str, Any]:
        """What was found of all that was sent; called behind the block.

        Raises:
            DemoError: a command failed, a process ended, or it takes too long.
        """
        if self._failure is not None:
            raise self._failure
        for name in _PROCESSES:
            self._stage.until(f"the {name}", partial(self._has_read_all, name))
        self._look()
        compared = self._stage.weir("shadow", "compare", f"v{self._candidate}")
        return asdict(self.seen) | {
            "candidate": self._candidate,
            "compared": compared["events"],
            "flips": compared["flips"],
            "verdict": compared["verdict"],
            "drift": self._stage.weir("drift", "status", "--all")["episodes"],
        }

    def _has_read_all(self, name: str) -> bool:
        return not self._stage.metric(name, "weir_lag_records")

    def _answers(self) -> bool:
        return self._stage.metric("shadow", "weir_shadow_candidate_answering") == 1

    def _run(self) -> None:
        try:
            while not (self._over.is_set() or self.seen.scored):
                self._look()
            if not self._over.is_set():
                share = ("--share", str(_SHARE), "--no-blast-radius")
                self._stage.weir("canary", "start", self._candidate, *share)
                self.seen.stage = f"version {self._candidate} is a canary, {_SHARE:.0%} of the keys"
            while not self._over.is_set():
                self._look()
        except DemoError as error:
            self._failure = error

    def _look(self) -> None:
        self._over.wait(_LOOK_S)
        seen, metric = self.seen, self._stage.metric
        seen.scored = int(metric("shadow", "weir_shadow_scores_total"))
        seen.mature = int(metric("shadow", "weir_shadow_mature_events"))
        seen.canary = self._answered("canary")
        seen.episodes = int(metric("monitor", "weir_drift_episodes_open"))
