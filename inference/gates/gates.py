"""The gates before a promotion, by what was found of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inference.canary.gate_record import GateRecord
from inference.gates.record import ComparisonRecord
from inference.gates.settings import GateSettings
from inference.shadow.comparison.comparison import Verdict

State = Literal["passed", "failed", "open"]
"""`open`: not known, or inconclusive, which is no pass."""


@dataclass(frozen=True)
class Gate:
    """One gate, and why it is as it is."""

    name: str
    state: State
    why: str

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return dict(vars(self))


@dataclass(frozen=True)
class Findings:
    """What was last found of a model; None for nothing.

    Attributes:
        shadow: of it as a candidate.
        canary: of it as a canary.
    """

    shadow: ComparisonRecord | None = None
    canary: GateRecord | None = None


def gates_of(
    findings: Findings, champion: str, policy: str, settings: GateSettings, now_ms: int
) -> list[Gate]:
    """The gates in their order: exposure, guardrails, non-inferiority, superiority.

    Args:
        champion: the package that answers now; what was found beside another says nothing of it.
        policy: version of the one that holds now; what decisions cost by another says nothing.
    """
    shadow, why = _valid(findings.shadow, champion, policy, settings, now_ms)
    return [
        _exposure(shadow, why, settings),
        _guardrails(findings.canary, champion, settings, now_ms),
        _by_verdict("non-inferiority", (Verdict.BETTER, Verdict.NO_WORSE), shadow, why),
        _by_verdict("superiority", (Verdict.BETTER,), shadow, why),
    ]


def _valid(
    record: ComparisonRecord | None, champion: str, policy: str, settings: GateSettings, now_ms: int
) -> tuple[ComparisonRecord | None, str]:
    """The record, or why there is none that counts."""
    if record is None:
        return None, "nothing was found of it in the shadow: `weir shadow add` it, run `weir judge`"
    if not record.is_of_its_model:
        return None, f"candidate {record.name} was another model at the last look"
    if record.champion != champion[:12]:
        return None, f"it was compared with {record.champion}, which is champion no more"
    if record.policy != policy:
        return None, f"it was compared by policy {record.policy}, which holds no more"
    if now_ms - record.at > settings.max_age:
        return None, "what was found is older than gates.max_age: does `weir judge` run?"
    return record, ""


def _exposure(record: ComparisonRecord | None, why: str, settings: GateSettings) -> Gate:
    if record is None:
        return Gate("exposure", "open", why)
    try:
        labels, frauds = int(record.found["mature"]), int(record.found["recall"]["events"])
    except (KeyError, TypeError, ValueError):
        return Gate("exposure", "open", "what was found can't be read: does `weir judge` run?")
    enough = labels >= settings.min_labels and frauds >= settings.min_frauds
    told = (
        f"{labels:,} mature events of {settings.min_labels:,}, {frauds:,} frauds of "
        f"{settings.min_frauds:,}"
    )
    return Gate("exposure", "passed" if enough else "open", told)


def _guardrails(
    record: GateRecord | None, champion: str, settings: GateSettings, now_ms: int
) -> Gate:
    if record is not None and record.deed == "roll back":
        return Gate("guardrails", "failed", f"its canary was rolled back: {record.why}")
    if record is None or record.champion != champion:
        if not settings.canary:
            return Gate("guardrails", "passed", "gates.canary asks for no canary")
        return Gate("guardrails", "open", "it was no canary beside this champion")
    if now_ms - record.at > settings.max_age:
        return Gate("guardrails", "open", "what its canary showed is older than gates.max_age")
    if record.deed == "done":
        return Gate("guardrails", "passed", "its canary has come to the end of its last step")
    return Gate("guardrails", "open", f"its canary: {record.why}")


def _by_verdict(
    name: str, enough: Sequence[Verdict], record: ComparisonRecord | None, why: str
) -> Gate:
    if record is None:
        return Gate(name, "open", why)
    if record.verdict is Verdict.WORSE:
        return Gate(name, "failed", "it costs more than the champion")
    return Gate(name, "passed" if record.verdict in enough else "open", _WORDS[record.verdict])


_WORDS = {
    Verdict.BETTER: "it costs less than the champion",
    Verdict.NO_WORSE: "it costs no more than the margin more",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.NO_COSTS: "policy.costs says nothing of what decisions cost",
}
