"""What is said on the control topic: which model and which policy shall answer."""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from inference.errors import InferenceError
from inference.packages.registry import RegisteredModel
from inference.policy.policy import PolicySettings
from streams.base.section import Section
from streams.kafka.records.control_topic import ControlRecord

CHAMPION_KEY = "champion"
POLICY_KEY = "policy"
COMMAND_KEYS = (CHAMPION_KEY, POLICY_KEY)
MOST_BEFORE = 20
"""Former champions that a command remembers."""
_LARGEST = 65_536
"""Bytes of a record; what is longer nobody of ours wrote."""

FORMAT = 1
"""Of all records here. A further key that older readers may ignore leaves it as it is; where they
must not go by a record that they only half understand, it is raised."""

PackageId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
OneLine = Annotated[str, Field(pattern=r"^\P{C}*$")]
"""Text without control characters, which could drive a terminal or forge a line of a log."""

Author = Annotated[OneLine, Field(min_length=1, max_length=200)]
LONGEST_REMARK = 2_000
Remark = Annotated[OneLine, Field(max_length=LONGEST_REMARK)]


class CommandError(InferenceError):
    """A record of the control topic can't be read; the message says where it stands."""


class NewerFormatError(CommandError):
    """A record of the control topic was written by a newer Weir, and means we don't know what."""


class RefusedCommandError(InferenceError):
    """A command that can be read counts for nothing.

    Attributes:
        named: the model or policy that it asked for.
    """

    def __init__(self, message: str, named: "ModelVersion | PolicyVersion | None" = None) -> None:
        super().__init__(message)
        self.named = named


class Lenient(Section):
    """A part of a record, perhaps of a newer Weir: keys that we don't know are ignored."""

    model_config = ConfigDict(extra="ignore")


class ControlEntry(Lenient):
    """What every record of the control topic begins with; those before it had none mean format 1.

    Attributes:
        format: see `FORMAT`.
    """

    format: int = FORMAT


class ModelVersion(Lenient):
    """A model in the registry: its version there, and its package's id."""

    version: int = Field(ge=1)
    package: PackageId

    def __str__(self) -> str:
        return f"{self.package[:12]} (version {self.version})"


class PolicyVersion(Lenient):
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
        waived: which gates were not passed, and by whose word it was promoted all the same.
        expects: the champion that its author saw, None for none. Where another one stands before
            this record, it counts for nothing; with ``any`` it counts whatever stands.
        by, note: who said so, and why.
        at: when, UTC milliseconds.
    """

    model: ModelVersion
    before: tuple[ModelVersion, ...] = Field(default=(), max_length=MOST_BEFORE)
    expects: ModelVersion | Literal["any"] | None = "any"
    by: Author
    note: Remark = ""
    waived: Remark = ""
    at: int

    @property
    def named(self) -> ModelVersion:
        """What it asks for."""
        return self.model


class PolicyCommand(ControlEntry):
    """Under `POLICY_KEY`: decide by this; ``expects``, ``by``, ``note``, ``at`` as a champion's.

    A key of the policy that we don't know makes it unreadable: scores name the policy's version,
    and who left a key out would decide by another policy under that name.
    """

    policy: PolicySettings
    expects: PolicyVersion | Literal["any"] | None = "any"
    by: Author
    note: Remark = ""
    at: int

    @property
    def named(self) -> PolicyVersion:
        """What it asks for."""
        return PolicyVersion(version=self.policy.version)


class Withdrawal(ControlEntry):
    """Under either key: nobody names a champion, or sets a policy, any more.

    Scorers go by the registry, or by their settings, again. In place of a record without a value,
    which nobody could sign. ``expects``, ``by``, ``note``, ``at`` as a champion's; ``place`` of a
    candidate that leaves, as it had it.
    """

    withdrawn: Literal[True] = True
    place: int = Field(default=0, ge=0)
    expects: ModelVersion | PolicyVersion | Literal["any"] | None = "any"
    by: Author
    note: Remark = ""
    at: int

    @property
    def named(self) -> None:
        """It asks for nothing of its own."""


Command = ChampionCommand | PolicyCommand
_Entry = TypeVar("_Entry", bound=ControlEntry)


def encode(entry: ControlEntry) -> bytes:
    """The value of a control record.

    What a policy leaves open is left out, so that a scorer which does not know a new key yet can
    read every policy that does not use it.
    """
    value = entry.model_dump(mode="json")
    if isinstance(entry, PolicyCommand):
        value["policy"] = {key: said for key, said in value["policy"].items() if said is not None}
    return json.dumps(value).encode()


def command_of(record: ControlRecord) -> Command | Withdrawal | None:
    """What a record under `CHAMPION_KEY` or `POLICY_KEY` says; None if it has no value.

    Raises:
        CommandError, NewerFormatError: as `read_command`.
    """
    return read_entry(ChampionCommand if record.key == CHAMPION_KEY else PolicyCommand, record)


def read_command(kind: type[_Entry], record: ControlRecord) -> _Entry | None:
    """What a record says, or None if it takes back what its key said.

    Raises:
        CommandError: it says nothing that makes sense.
        NewerFormatError: it makes sense to a newer Weir only.
    """
    said = read_entry(kind, record)
    return None if isinstance(said, Withdrawal) else said


def read_entry(kind: type[_Entry], record: ControlRecord) -> _Entry | Withdrawal | None:
    """What a record says, which may be that its key says nothing more; None without a value.

    Raises:
        CommandError, NewerFormatError: as `read_command`.
    """
    if record.value is None:
        return None
    try:
        if len(record.value) > _LARGEST:
            raise ValueError(f"it has {len(record.value):,} bytes")
        value = json.loads(record.value)
        if isinstance(value, dict):
            _check_format(value, record)
            if "withdrawn" in value:
                return Withdrawal.model_validate(value)
        return kind.model_validate(value)
    except ValidationError as error:
        problem: Any = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        reason = f"{where}: {problem['msg']}"
    except (ValueError, RecursionError) as error:
        reason = f"it is no JSON: {error}"
    again = "`weir models promote` or `weir policy set`" if record.key in COMMAND_KEYS else "`weir`"
    raise CommandError(
        f"control record {record.key!r} ({record.place}) can't be read: {reason}. Give the "
        f"command again with {again}"
    )


def _check_format(value: dict[str, Any], record: ControlRecord) -> None:
    # Before the rest is looked at: what is newer may well lack what we ask for.
    found = _FormatOnly.model_validate(value).format
    if found > FORMAT:
        raise NewerFormatError(
            f"control record {record.key!r} ({record.place}) was written by a newer Weir (format "
            f"{found}; this one reads up to {FORMAT}): it changes nothing here; update this Weir"
        )


class _FormatOnly(Lenient):
    format: int = FORMAT
