"""What scorers report of the arms, on the topic of reports."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from inference.control.canary import MOST_ARMS, ArmName
from inference.control.commands import ControlEntry, Lenient, PackageId

_ARMS = "arms/"
_LONGEST_REASON = 1_000

ArmState = Literal["opening", "serving", "stopped", "refused"]
"""Not ready yet; answers; answers no more; can't be opened."""

Count = Annotated[int, Field(ge=0)]


class ArmReport(Lenient):
    """How one arm fares at one scorer, since that one opened it.

    Attributes:
        reason: why it was stopped or refused.
        counts: see `inference.routing.arm.ArmCounts`.
    """

    name: ArmName
    model: PackageId
    state: ArmState
    reason: Annotated[str, AfterValidator(lambda text: text[:_LONGEST_REASON])] = ""
    counts: dict[str, Count] = Field(default_factory=dict, max_length=20)


class ArmsReport(ControlEntry):
    """Under ``arms/NAME``: how the arms of an experiment fare at a scorer.

    Attributes:
        begun: since when it counts, UTC milliseconds: another value means counts from 0 on.
        at: when it was said.
    """

    experiment: ArmName
    arms: tuple[ArmReport, ...] = Field(max_length=MOST_ARMS)
    begun: int
    at: int


def arms_key(worker: str) -> str:
    """Under which a scorer reports of arms."""
    return _ARMS + worker


def arms_worker(key: str) -> str | None:
    """The scorer that reports of arms under a key, or None if it is no such key."""
    return key.removeprefix(_ARMS) if key.startswith(_ARMS) else None
