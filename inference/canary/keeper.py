"""Keeps a canary: steps it up while all is well, and rolls it back where it does harm.

Of several keepers one is at work. All that it goes by can be read again, the control topic, the
reports and the feature log: so one that starts, or takes over, goes on where the one before was.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

from inference.canary.board import CanaryBoard, MeanwhileError
from inference.canary.follower import FeatureLogFollower
from inference.canary.guardrails import Guardrails, stopped
from inference.canary.settings import CanarySettings
from inference.canary.traffic import Traffic
from inference.control.canary import CanaryCommand
from inference.control.commands import LONGEST_REMARK, Withdrawal
from streams.base.clock import now_ms
from streams.base.safe_text import safe_text
from streams.base.section import format_duration

logger = logging.getLogger(__name__)

_READS_S = 1.0
_INCONCLUSIVE_HOLDS = 3
"""After so many times the hold a step that shows nothing certain asks for a person."""
_CLOCKS_MS = 60_000
"""What clocks of machines may differ by."""

Deed = Literal["wait", "step", "done", "roll back", "void", "ask", "end"]


@dataclass(frozen=True)
class Judgement:
    """What is to be done with a canary, and why."""

    deed: Deed
    why: str
    share: float | None = None


@dataclass
class _Watch:
    """What is known of the step at hand."""

    said: CanaryCommand
    traffic: Traffic
    guardrails: Guardrails
    follower: FeatureLogFollower


class Keeper:
    """Looks after the canary; for one thread.

    Args:
        board: where commands are given.
        follow: opens the feature log from a moment on, UTC milliseconds.
        by: in whose name it commands.
        tell: told of each look: the experiment, what is to be done, and the evidence.
    """

    def __init__(
        self,
        settings: CanarySettings,
        *,
        board: CanaryBoard,
        follow: Callable[[int], FeatureLogFollower],
        by: str,
        tell: Callable[[CanaryCommand, Judgement, dict[str, Any]], None],
    ) -> None:
        self._settings = settings
        self._board = board
        self._follow = follow
        self._by = by
        self._tell = tell
        self._watch: _Watch | None = None

    def look(self, timeout_s: float) -> Judgement | None:
        """Read what has come, and do what there is to do; None where no experiment runs.

        Args:
            timeout_s: to wait for records of the feature log.
        """
        self._board.look(0.0)
        said = self._board.said
        if said is None:
            self.rest()
            return None
        watch = self._watching(said)
        self.read_on(timeout_s)
        watch.guardrails.look(self._board.reports)
        judgement = self._judge(watch)
        evidence = watch.traffic.as_dict() | {"guardrails": watch.guardrails.as_dict()}
        self._tell(said, judgement, evidence)
        try:
            self._carry_out(said, judgement)
        except MeanwhileError as error:
            logger.warning("%s", error)
        return judgement

    def read_on(self, timeout_s: float) -> None:
        """Read more of the feature log, for a moment: there may be days of it, and more comes."""
        watch, until = self._watch, monotonic() + _READS_S
        while watch is not None and watch.follower.read(timeout_s, watch.traffic.take):
            timeout_s = 0.0
            if monotonic() > until:
                return

    def rest(self) -> None:
        """Let go of what is watched."""
        if self._watch is not None:
            self._watch.follower.close()
            self._watch = None

    def _watching(self, said: CanaryCommand) -> _Watch:
        """What is known of this step; from its beginning, where it is another than before."""
        watch = self._watch
        if watch is not None and _step_of(watch.said) == _step_of(said):
            watch.said = said
            return watch
        self.rest()
        traffic = Traffic(said)
        self._watch = _Watch(
            said,
            traffic,
            Guardrails(self._settings, traffic),
            self._follow(said.stepped - _CLOCKS_MS),
        )
        return self._watch

    def _judge(self, watch: _Watch) -> Judgement:
        settings, traffic, share = self._settings, watch.traffic, watch.said.canary.share
        champion = self._board.champion
        if champion is not None and champion.model.package == watch.said.canary.model.package:
            return Judgement("end", "it is champion now")
        if why := stopped(self._board.reports, traffic):
            return Judgement("roll back", why)
        if alarms := watch.guardrails.alarms():
            return Judgement("roll back", "; ".join(alarms))
        if watch.guardrails.split_is_broken():
            return Judgement(
                "void",
                "keys do not fall on the arms by their shares: nothing can be said of them; see "
                "docs/canary.md",
            )
        if traffic.answered[0] < traffic.events[0]:
            return Judgement(
                "void",
                f"another model than {watch.said.champion[:12]} answers as champion: it was begun "
                "beside that one, so end it with `weir canary abort`",
            )
        if watch.said.state == "paused":
            return Judgement("wait", "it is paused")
        if not watch.follower.caught_up:
            return Judgement("wait", "what is there of this step is still being read")
        answered = int(traffic.answered[1])
        if answered < settings.min_events:
            return Judgement(
                "wait", f"it has answered {answered:,} events of {settings.min_events:,}"
            )
        if traffic.lasted < settings.hold:
            return Judgement(
                "wait",
                f"the step has lasted {traffic.lasted / 3_600_000:.1f}h of "
                f"{format_duration(settings.hold)} of event time",
            )
        if watch.guardrails.alerts_in_band() is False:
            return self._inconclusive(watch)
        following = settings.after(share, watch.said.most)
        if following is None:
            return Judgement(
                "done", "its last step is over: `weir models promote` makes it champion"
            )
        return Judgement("step", f"all is well after {answered:,} events at {share:.2%}", following)

    def _inconclusive(self, watch: _Watch) -> Judgement:
        """It flags too much or too little, and chance may be why: no pass, and no harm shown."""
        champion, canary = (watch.traffic.alerts[:2] / watch.traffic.keys[:2]).tolist()
        why = f"inconclusive: it flags {canary:.1%} of its keys, the champion {champion:.1%}"
        if watch.traffic.lasted < _INCONCLUSIVE_HOLDS * self._settings.hold:
            return Judgement("wait", why)
        return Judgement("ask", f"{why}; `weir canary step` or `abort` is for a person to say")

    def _carry_out(self, said: CanaryCommand, judgement: Judgement) -> None:
        now = now_ms()
        if judgement.deed == "roll back":
            logger.error("rolling back %s: %s", said.experiment, judgement.why)
            # Scorers said why: whatever it is, it must not keep the command from being one.
            why = safe_text(judgement.why).replace("\t", " ")
            note = f"rolled back: {why}"[:LONGEST_REMARK]
            self._board.give(Withdrawal(by=self._by, note=note, at=now))
        elif judgement.deed == "end":
            logger.info("ending %s: %s", said.experiment, judgement.why)
            self._board.give(Withdrawal(by=self._by, note=judgement.why, at=now))
        elif judgement.deed in ("void", "ask") and said.state == "running":
            logger.error("pausing %s: %s", said.experiment, judgement.why)
            new = {"state": "paused", "by": self._by, "note": judgement.why, "at": now}
            self._board.give(said.model_copy(update=new))
        elif judgement.deed == "step" and judgement.share is not None:
            logger.info(
                "stepping %s up to %.2f %%: %s",
                said.experiment,
                100 * judgement.share,
                judgement.why,
            )
            self._board.give(said.stepped_to(judgement.share, self._by, judgement.why, now))


def _step_of(said: CanaryCommand) -> tuple[object, ...]:
    return said.experiment, said.arms, said.stepped
