"""What a scorer reports of the commands that it has seen to."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from inference.control.commands import ModelVersion
from inference.control.reports import ALIVE_EVERY_S, Outcome, ScorerReport
from inference.routing.served_model import ServedModel
from streams.base.clock import now_ms
from streams.base.safe_text import safe_text


class StatusReporter:
    """Reports what became of commands, and repeats the last report as a sign of life.

    One thread may report while another one shows life.

    Attributes:
        last: the last report.
        heard: the offsets of the latest commands that were seen to, by key.
    """

    last: ScorerReport

    def __init__(self, send: Callable[[ScorerReport], None]) -> None:
        self._send = send
        self._sent_at = 0.0
        self._sending = Lock()
        self.heard: dict[str, int] = {}

    def say(
        self,
        outcome: Outcome,
        serving: ServedModel,
        version: ModelVersion,
        policy: str,
        reason: str = "",
        again: bool = False,
    ) -> None:
        """Report an outcome.

        Args:
            serving: what answers now.
            version, policy: what the command asked for.
            reason, again: see `ScorerReport`.
        """
        now = now_ms()
        self.last = ScorerReport(
            outcome=outcome,
            model=serving.package,
            policy=serving.policy.version,
            asked_model=version.package,
            asked_policy=policy,
            reason=safe_text(reason),
            again=again,
            heard=dict(self.heard),
            at=now,
            alive=now,
        )
        self._repeat()

    def say_of_the_latest(self, refusal: ScorerReport) -> None:
        """Say again that the latest command was refused, after one before it was carried out.

        Whoever gave it waits for that word.
        """
        serving = {"model": self.last.model, "policy": self.last.policy, "at": now_ms()}
        self.last = refusal.model_copy(update=serving)
        self._repeat()

    def show_life(self) -> None:
        """Repeat the last report if it is time for that."""
        if monotonic() - self._sent_at >= ALIVE_EVERY_S:
            self._repeat()

    def _repeat(self) -> None:
        with self._sending:  # else an older report could be the last one that is read
            self._sent_at = monotonic()
            self._send(self.last.model_copy(update={"alive": now_ms()}))
