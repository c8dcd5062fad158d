"""What stands on the control topic: what model and policy shall answer, and who answers by them."""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from inference.errors import InferenceError
from inference.packages.registry import RegisteredModel
from inference.serving.policy import PolicySettings
from streams.base.section import Section
from streams.kafka.records.control_topic import ControlRecord

CHAMPION_KEY = "champion"
POLICY_KEY = "policy"
_WORKER = "scorer/"
_REMEMBERED = 20

FORMAT = 1
"""Of all records here. A further key that older readers may ignore leaves it as it is; where they
must not go by a record that they only half understand, it is raised."""

ALIVE_EVERY_S = 60.0
"""How often a scorer repeats its report."""

SILENT_AFTER_MS = 150_000
"""A scorer whose report is older than this was killed."""

Outcome = Literal["serving", "refused"]
PackageId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CommandError(InferenceError):
    """A record of the control topic can't be read; the message says where it stands."""


class NewerFormatError(CommandError):
    """A record of the control topic was written by a newer Weir, and means we don't know what."""


class OvertakenError(InferenceError):
    """A command was given on the base of another champion or policy than the one that stood.

    Attributes:
        named: the model or policy that it asked for.
    """

    def __init__(self, message: str, named: "ModelVersion | PolicyVersion | None" = None) -> None:
        super().__init__(message)
        self.named = named


class _Lenient(Section):
    """A part of a record, perhaps of a newer Weir: keys that we don't know are ignored."""

    model_config = ConfigDict(extra="ignore")


class ControlEntry(_Lenient):
    """What every record of the control topic begins with; those before it had none mean format 1.

    Attributes:
        format: see `FORMAT`.
    """

    format: int = FORMAT


class ModelVersion(_Lenient):
    """A model in the registry: its version there, and its package's id."""

    version: int = Field(ge=1)
    package: PackageId

    def __str__(self) -> str:
        return f"{self.package[:12]} (version {self.version})"


class PolicyVersion(_Lenient):
    """A policy by its version."""

    version: str

    def __str__(self) -> str:
        return self.version


def version_of(model: RegisteredModel) -> ModelVersion:
    """A registered model as commands name it."""
    return ModelVersion(version=model.version, package=model.package_id)


class ChampionCommand(ControlEntry):
    """Under `CHAMPION_KEY`: this model shall answer.

    Attributes:
        before: those that were champion before, the latest last.
        expects: the champion that its author saw, None for none. Where another one stands before
            this record, it counts for nothing; with ``any`` it counts whatever stands.
        by, note: who said so, and why.
        at: when, UTC milliseconds.
    """

    model: ModelVersion
    before: tuple[ModelVersion, ...] = ()
    expects: ModelVersion | Literal["any"] | None = "any"
    by: str
    note: str = ""
    at: int

    @property
    def named(self) -> ModelVersion:
        """What it asks for."""
        return self.model

    def followed_by(self, model: ModelVersion, by: str, note: str, at: int) -> "ChampionCommand":
        """The command that makes another model champion."""
        before = (*self.before, self.model)[-_REMEMBERED:]
        return ChampionCommand(
            model=model, before=before, expects=self.model, by=by, note=note, at=at
        )


class PolicyCommand(ControlEntry):
    """Under `POLICY_KEY`: decide by this; ``expects``, ``by``, ``note``, ``at`` as a champion's.

    A key of the policy that we don't know makes it unreadable: scores name the policy's version,
    and who left a key out would decide by another policy under that name.
    """

    policy: PolicySettings
    expects: PolicyVersion | Literal["any"] | None = "any"
    by: str
    note: str = ""
    at: int

    @property
    def named(self) -> PolicyVersion:
        """What it asks for."""
        return PolicyVersion(version=self.policy.version)


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
    policy: str
    asked_model: PackageId
    asked_policy: str
    reason: str = ""
    again: bool = False
    heard: dict[str, int] = Field(default_factory=dict)
    at: int
    alive: int

    def lives(self, now_ms: int) -> bool:
        """Whether the scorer may still be there: killed, it can't say that it is not."""
        return now_ms - self.alive < SILENT_AFTER_MS


Command = ChampionCommand | PolicyCommand
_Entry = TypeVar("_Entry", ChampionCommand, PolicyCommand, ScorerReport)


class Standing:
    """Which champion and policy stand, record by record: the topic's order decides a race.

    What comes first of a key counts whatever it expects, since what stood before it may have been
    compacted away. After that, a command that expects something else than what stands is refused,
    and what stands goes on. So everybody who reads the topic refuses the same ones.
    """

    def __init__(self) -> None:
        self._named: dict[str, ModelVersion | PolicyVersion | None] = {}

    def counts(self, record: ControlRecord) -> bool:
        """Take note of a record, and say whether it counts."""
        try:
            self.admit(record)
        except OvertakenError:
            return False
        return True

    def admit(self, record: ControlRecord) -> None:
        """Take note of a record; one that can't be read names nothing.

        Raises:
            OvertakenError: it is a command that expects something else than what stands.
        """
        if record.key not in (CHAMPION_KEY, POLICY_KEY):
            return
        try:
            command = command_of(record)
        except NewerFormatError:
            self._named.pop(record.key, None)  # it names something, and we can't know what
            return
        except CommandError:
            command = None
        stands = self._named.get(record.key)
        if (
            command is not None
            and command.expects != "any"
            and record.key in self._named
            and command.expects != stands
        ):
            raise OvertakenError(
                f"{record.key} {command.named} was meant to replace {command.expects or 'none'}, "
                f"but {stands or 'none'} is in force: look at `weir models serving` and give the "
                "command again",
                command.named,
            )
        self._named[record.key] = None if command is None else command.named


def report_key(worker: str) -> str:
    """Under which a scorer reports."""
    return _WORKER + worker


def worker_of(key: str) -> str | None:
    """The scorer that reports under a key, or None if it is no such key."""
    return key.removeprefix(_WORKER) if key.startswith(_WORKER) else None


def encode(entry: ControlEntry) -> bytes:
    """The value of a control record.

    What a policy leaves open is left out, so that a scorer which does not know a new key yet can
    read every policy that does not use it.
    """
    value = entry.model_dump(mode="json")
    if isinstance(entry, PolicyCommand):
        value["policy"] = {key: said for key, said in value["policy"].items() if said is not None}
    return json.dumps(value).encode()


def command_of(record: ControlRecord) -> Command | None:
    """What a record under `CHAMPION_KEY` or `POLICY_KEY` says; see `read_command`."""
    if record.key == CHAMPION_KEY:
        return read_command(ChampionCommand, record)
    return read_command(PolicyCommand, record)


def read_command(kind: type[_Entry], record: ControlRecord) -> _Entry | None:
    """What a record says, or None if it takes back what its key said.

    Raises:
        CommandError: it says nothing that makes sense.
        NewerFormatError: it makes sense to a newer Weir only.
    """
    if record.value is None:
        return None
    try:
        value = json.loads(record.value)
        if isinstance(value, dict):
            _check_format(value, record)
        return kind.model_validate(value)
    except ValidationError as error:
        problem: Any = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        reason = f"{where}: {problem['msg']}"
    except (ValueError, RecursionError) as error:
        reason = f"it is no JSON: {error}"
    raise CommandError(
        f"control record {record.key!r} ({record.place}) can't be read: {reason}. Give the "
        "command again with `weir models promote` or `weir policy set`"
    )


def _check_format(value: dict[str, Any], record: ControlRecord) -> None:
    # Before the rest is looked at: what is newer may well lack what we ask for.
    found = _FormatOnly.model_validate(value).format
    if found > FORMAT:
        raise NewerFormatError(
            f"control record {record.key!r} ({record.place}) was written by a newer Weir (format "
            f"{found}; this one reads up to {FORMAT}): it changes nothing here; update this Weir"
        )


class _FormatOnly(_Lenient):
    format: int = FORMAT
