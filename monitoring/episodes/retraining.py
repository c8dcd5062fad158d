"""Whether to train anew, by all the episodes that are open."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from monitoring.episodes.episode import Episode


class Reason(msgspec.Struct, frozen=True):
    """An open episode that asks for retraining, or blocks it."""

    episode: str
    model: str
    why: str


class RetrainingVerdict(msgspec.Struct, frozen=True):
    """What the open episodes say of retraining.

    Attributes:
        state: ``blocked`` where one blocks it, whatever others ask.
        asked_by, blocked_by: those, by when they were found.
    """

    state: Literal["idle", "asked", "blocked"]
    asked_by: list[Reason]
    blocked_by: list[Reason]

    @property
    def words(self) -> str:
        """All that, in a line."""
        asked, blocked = map(_said, (self.asked_by, self.blocked_by))
        match self.state:
            case "blocked":
                return f"blocked: {blocked}" + (f"; asked for all the same: {asked}" * bool(asked))
            case "asked":
                return f"asked for: {asked}"
            case "idle":
                return "nothing asks for it"


def _said(reasons: list[Reason]) -> str:
    return "; ".join(f"{each.why} (episode {each.episode}, model {each.model})" for each in reasons)


def retraining_verdict(episodes: Iterable[Episode]) -> RetrainingVerdict:
    """What episodes say of retraining; those that are over say nothing.

    A snooze keeps people from being called: it changes nothing here.
    """
    asked: list[Reason] = []
    blocked: list[Reason] = []
    for each in sorted(episodes, key=lambda each: (each.found, each.id)):
        if each.state == "open" and each.retraining is not None:
            reasons = asked if each.retraining == "asked" else blocked
            reasons.append(Reason(each.id, each.model, each.words))
    state: Literal["idle", "asked", "blocked"] = "idle"
    if asked or blocked:
        state = "blocked" if blocked else "asked"
    return RetrainingVerdict(state, asked, blocked)
