"""All that is known of a model, out of the registry and the topics; nothing is made up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inference.control.commands import version_of
from inference.control.control_room import ControlRoom
from inference.control.signatures import CommandKeys, UntrustedCommandError
from inference.errors import InferenceError
from inference.gates.gates import Gate, gates_of
from inference.gates.waiver import Waiver, waiver_in, waiver_key
from inference.packages.package import ModelPackage
from inference.packages.registry import RegisteredModel, Registry
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from weir.config.settings import Settings
from weir.dossier.history import History, Look, Promotion, read_history, read_promotions
from weir.services.candidates.promotion_gates import champion_of, champion_since


@dataclass(frozen=True)
class Decision:
    """The gates, and beside which champion they were decided.

    Attributes:
        champion: its package; None where there is none to be better than: then there are no gates.
        registered: that champion, where the registry has it.
        when: ``now``, or at the last ``promotion``: by what was known then, and by the settings of
            now.
        at: that moment, UTC milliseconds.
    """

    champion: str | None
    registered: RegisteredModel | None
    when: Literal["now", "promotion"]
    at: int
    gates: tuple[Gate, ...] = ()
    waiver: Waiver | None = None


@dataclass(frozen=True)
class Dossier:
    """What is known of a model.

    Attributes:
        made: when, UTC milliseconds.
        by: who had it made.
        package: None where it can't be fetched, for the reason of `no_package`.
        serves: whether it is champion now.
        was_champion: whether the present champion's record names it among those before.
        enforced: whether a promotion is refused while a gate is not passed.
    """

    made: int
    by: str
    model: RegisteredModel
    package: ModelPackage | None
    no_package: str
    serves: bool
    was_champion: bool
    decision: Decision
    enforced: bool
    history: History
    promotions: tuple[Promotion, ...]

    @property
    def look(self) -> Look | None:
        """The last comparison with the champion in question; else the last one at all."""
        looks = self.history.looks
        champion = (self.decision.champion or "")[:12]
        beside = [look for look in looks if look.record.champion == champion]
        return (beside or looks or (None,))[-1]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        decision, package = self.decision, self.package
        return {
            "made": self.made,
            "by": self.by,
            "model": _model_dict(self.model),
            "serves": self.serves,
            "was_champion": self.was_champion,
            "card": None if package is None else package.card.model_dump(mode="json"),
            "no_card": self.no_package or None,
            "champion": decision.champion,
            "champion_model": None
            if decision.registered is None
            else _model_dict(decision.registered),
            "gates": [gate.as_dict() for gate in decision.gates],
            "gates_as_of": {"when": decision.when, "at": decision.at},
            "enforced": self.enforced,
            "waiver": _said(decision.waiver),
            "comparison": None if self.look is None else _said(self.look.record),
            "evidence": [_evidence(look) for look in self.history.looks],
            "canary": [
                _said(phase.record) | {"first_at": phase.first_at, "looks": phase.looks}
                for phase in self.history.phases
            ],
            "promotions": [
                _said(each.command) | {"rollback": each.rollback} for each in self.promotions
            ],
            "unreadable": self.history.unreadable,
        }


def collect(
    settings: Settings,
    kafka: KafkaSettings,
    room: ControlRoom,
    registry: Registry,
    keys: CommandKeys,
    name: str,
    by: str,
) -> Dossier:
    """Put together what is known of a version or an alias.

    Raises:
        RegistryError, RegistryAwayError: there is no such model, or the registry is away.
        KafkaException: the cluster failed.
    """
    model = registry.get(name)
    package, no_package = None, ""
    try:
        package = registry.fetch(model)
    except InferenceError as error:  # what the topics say of it is worth telling all the same
        no_package = str(error)
    history = read_history(kafka, settings.topics.comparisons, model.package_id)
    promotions = read_promotions(kafka, keys, model.package_id)
    before = () if room.champion is None else room.champion.before
    return Dossier(
        made=now_ms(),
        by=by,
        model=model,
        package=package,
        no_package=no_package,
        serves=champion_of(room, registry) == model.package_id,
        was_champion=version_of(model) in before,
        decision=_decision(settings, room, registry, keys, model, history, promotions),
        enforced=settings.gates.enforce,
        history=history,
        promotions=promotions,
    )


def _decision(
    settings: Settings,
    room: ControlRoom,
    registry: Registry,
    keys: CommandKeys,
    model: RegisteredModel,
    history: History,
    promotions: Sequence[Promotion],
) -> Decision:
    """The gates as of now; of a model that was promoted, as of then, if nothing came since."""
    package, serving = model.package_id, champion_of(room, registry)
    champion, at = (None if serving == package else serving), now_ms()
    when: Literal["now", "promotion"] = "now"
    for promotion in promotions:
        former, then = promotion.former, promotion.command.at
        if former is None or promotion.rollback:
            continue
        if serving in (None, package) or not history.is_beside(serving, then):
            champion, when, at = former.package, "promotion", then
    if champion is None:
        return Decision(None, None, when, at)
    try:
        since = champion_since(room) if when == "now" else 0
        waiver = waiver_in(room.record(waiver_key(package)), keys, package, champion, since)
    except UntrustedCommandError:
        waiver = None
    findings = history.findings(at)
    policy = room.policy_or(settings.policy).version
    if when == "promotion" and findings.shadow is not None:
        policy = findings.shadow.policy  # which one held then is not kept
    return Decision(
        champion,
        registry.find(champion),
        when,
        at,
        tuple(gates_of(findings, champion, policy, settings.gates, at)),
        waiver if waiver is None or waiver.at <= at else None,
    )


def _model_dict(model: RegisteredModel) -> dict[str, Any]:
    return {**vars(model), "aliases": list(model.aliases)}


def _said(record: Any) -> Any:
    return None if record is None else record.model_dump(mode="json")


def _evidence(look: Look) -> dict[str, Any]:
    cost = look.found.cost
    return {
        "at": look.record.at,
        "name": look.record.name,
        "champion": look.record.champion,
        "policy": look.record.policy,
        "verdict": look.record.verdict.value,
        "mature": look.found.mature,
        "bound": None if cost is None else cost.bound,
        "log_better": None if cost is None else cost.log_better,
        "log_no_worse": None if cost is None else cost.log_no_worse,
        "log_worse": None if cost is None else cost.log_worse,
    }
