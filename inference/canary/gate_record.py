"""How a canary stands, as a record of the topic of comparisons."""

from typing import Any, Self

from pydantic import Field

from inference.canary.keeper import Deed, Judgement
from inference.control.canary import ArmShare, CanaryCommand
from inference.control.commands import ControlEntry, PackageId
from streams.base.clock import now_ms


class GateRecord(ControlEntry):
    """Under the experiment's name: what its keeper found at the last look.

    Attributes:
        champion, arms, state: as the control topic says them.
        deed: what the keeper does: ``wait``, ``step``, ``done``, ``roll back``, ``void``, ``ask``,
            ``end``.
        why: in words.
        evidence: events, keys and alerts by arm, and each guardrail's evidence.
        at: when, UTC milliseconds.
    """

    experiment: str
    champion: PackageId
    arms: tuple[ArmShare, ...] = Field(min_length=1)
    state: str
    deed: Deed
    why: str
    evidence: dict[str, Any] = Field(default_factory=dict)
    at: int

    @classmethod
    def of(cls, said: CanaryCommand, judgement: Judgement, evidence: dict[str, Any]) -> Self:
        """The record of one look."""
        return cls(
            experiment=said.experiment,
            champion=said.champion,
            arms=said.arms,
            state=said.state,
            deed=judgement.deed,
            why=judgement.why,
            evidence=evidence,
            at=now_ms(),
        )
