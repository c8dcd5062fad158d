"""Which candidate of the shadow is fit to become a canary, by what was found of it."""

from collections.abc import Iterable, Mapping

from inference.canary.gate_record import GateRecord
from inference.control.commands import ModelVersion
from inference.gates.findings import last_findings
from inference.gates.gates import gates_of
from inference.gates.record import ComparisonRecord
from inference.gates.settings import GateSettings

_OF_THE_CANARY = "guardrails"


def next_canary(
    candidates: Mapping[str, ModelVersion],
    records: Iterable[ComparisonRecord | GateRecord],
    champion: str,
    policy: str,
    settings: GateSettings,
    now_ms: int,
) -> tuple[str, ModelVersion] | None:
    """The first candidate that has passed all gates before that of the canary; None for none.

    One that was a canary beside this champion is left out, whatever became of it: to begin it again
    is for a person to say.

    Args:
        candidates: those that are tried, by name, the one that was named first at the front.
        records: of the topic of comparisons, in their order.
        champion, policy: the package that answers now, and the version of the policy that holds.
    """
    of_packages: dict[str, list[ComparisonRecord | GateRecord]] = {}
    for record in records:
        model = record.model if isinstance(record, ComparisonRecord) else record.arms[0].model
        of_packages.setdefault(model.package, []).append(record)
    for name, model in candidates.items():
        known = of_packages.get(model.package, [])
        if model.package == champion or any(_tried(each, champion) for each in known):
            continue
        gates = gates_of(last_findings(known), champion, policy, settings, now_ms)
        if all(gate.state == "passed" for gate in gates if gate.name != _OF_THE_CANARY):
            return name, model
    return None


def _tried(record: ComparisonRecord | GateRecord, champion: str) -> bool:
    return isinstance(record, GateRecord) and record.champion == champion
