"""What scorers report of the commands that they have seen to, on the topic of reports."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from inference.control.commands import ControlEntry, PackageId
from inference.policy.policy import PolicyName

_WORKER = "scorer/"

ALIVE_EVERY_S = 60.0
"""How often a scorer repeats its report."""

SILENT_AFTER_MS = 150_000
"""A scorer whose report is older than this was killed."""

_AHEAD_MS = 60_000
"""What clocks of machines may differ by; a report from further ahead would live for ever."""

_LONGEST_REASON = 1_000

Outcome = Literal["serving", "refused"]


class ScorerReport(ControlEntry):
    """Under ``scorer/NAME``: what a scorer did about a command.

    Attributes:
        outcome: ``serving``, or ``refused`` where something else goes on answering.
        model, policy: what answers now: the package's id, and the policy's version.
        asked_model, asked_policy: what the command asked for.
        reason: why it was refused.
        again: whether it will be tried again by itself.
        heard: the offsets of the latest commands that it has seen to, by key.
        at: UTC milliseconds.
        alive: when it was last said, and so when the scorer was known to live; UTC milliseconds.
    """

    outcome: Outcome
    model: PackageId
    policy: PolicyName
    asked_model: PackageId
    asked_policy: PolicyName
    reason: Annotated[str, AfterValidator(lambda text: text[:_LONGEST_REASON])] = ""
    again: bool = False
    heard: dict[str, int] = Field(default_factory=dict, max_length=20)
    at: int
    alive: int

    def lives(self, now_ms: int) -> bool:
        """Whether the scorer may still be there: killed, it can't say that it is not."""
        return -_AHEAD_MS < now_ms - self.alive < SILENT_AFTER_MS


def report_key(worker: str) -> str:
    """Under which a scorer reports."""
    return _WORKER + worker


def worker_of(key: str) -> str | None:
    """The scorer that reports under a key, or None if it is no such key."""
    return key.removeprefix(_WORKER) if key.startswith(_WORKER) else None
