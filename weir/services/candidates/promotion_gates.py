"""The gates before a promotion: what is known of a model, and who has waived what."""

from dataclasses import dataclass, field

from inference.control.commands import LONGEST_REMARK, version_of
from inference.control.control_room import ControlRoom
from inference.control.signatures import CommandKeys, UntrustedCommandError
from inference.errors import InferenceError
from inference.gates.findings import read_findings
from inference.gates.gates import Findings, Gate, gates_of
from inference.gates.settings import GateSettings
from inference.gates.waiver import Waiver, waiver_in, waiver_key
from inference.packages.registry import CHAMPION_ALIAS, Registry
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from weir.config.settings import Settings


class GatesNotPassedError(InferenceError):
    """A model may not become champion yet."""


@dataclass(frozen=True)
class Gates:
    """The gates of one model, beside the champion of now.

    Attributes:
        champion: its package; None where there is none to be better than: then there are no gates.
        waiver: that counts for it.
    """

    settings: GateSettings
    champion: str | None
    findings: Findings = field(default_factory=Findings)
    gates: tuple[Gate, ...] = ()
    waiver: Waiver | None = None

    @property
    def not_passed(self) -> list[Gate]:
        """Those that stand between the model and its promotion."""
        return [gate for gate in self.gates if gate.state != "passed"]

    def admit(self, version: int, author: str, waive: str) -> str:
        """Why the model is promoted though a gate is not passed; empty where none is.

        Args:
            author: who promotes it.
            waive: a reason that comes with the command.

        Raises:
            GatesNotPassedError: it may not be.
        """
        names = ", ".join(gate.name for gate in self.not_passed)
        if not names:
            return ""
        if self.waiver is not None and (
            not self.settings.second_person or self.waiver.by != author
        ):
            return _waived(self.waiver.by, self.waiver.note)
        if waive and not self.settings.second_person:
            return _waived(author, waive)
        if not self.settings.enforce:
            return ""
        if self.settings.second_person:
            way = (
                f'have somebody else say `weir models waive {version} --note "REASON"`: '
                "gates.second_person asks for two"
            )
        else:
            way = 'give a reason with --waive "REASON"'
        raise GatesNotPassedError(
            f"gates of version {version} that are not passed: {names}; `weir models gates "
            f"{version}` says why. To promote it all the same, {way}"
        )


def _waived(by: str, why: str) -> str:
    """As the champion's command can hold it, whose remarks have an end."""
    return f"waived by {by}: {why}"[:LONGEST_REMARK]


def gates_before(
    settings: Settings,
    kafka: KafkaSettings,
    room: ControlRoom,
    registry: Registry,
    package: str,
    keys: CommandKeys,
) -> Gates:
    """The gates of a model, as of now."""
    champion = champion_of(room, registry)
    if champion is None or champion == package:
        return Gates(settings.gates, None)
    findings = read_findings(kafka, settings.topics.comparisons, package)
    policy = room.policy_or(settings.policy).version
    gates = gates_of(findings, champion, policy, settings.gates, now_ms())
    try:
        record = room.record(waiver_key(package))
        waiver = waiver_in(record, keys, package, champion, champion_since(room))
    except UntrustedCommandError:
        waiver = None
    return Gates(settings.gates, champion, findings, tuple(gates), waiver)


def champion_since(room: ControlRoom) -> int:
    """When a command made the champion what it is, UTC milliseconds; 0 where none did."""
    return 0 if room.champion is None else room.champion.at


def champion_of(room: ControlRoom, registry: Registry) -> str | None:
    """The package that answers now; None where there is none.

    Raises:
        RegistryError: the registry does not say.
    """
    if room.champion is not None:
        return room.champion.model.package
    if CHAMPION_ALIAS not in registry.aliases():
        return None
    return version_of(registry.get(CHAMPION_ALIAS)).package
