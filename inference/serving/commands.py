"""What stands on the control topic: what model and policy shall answer, and who answers by them."""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from inference.errors import InferenceError
from inference.packages.registry import RegisteredModel
from inference.serving.policy import PolicySettings
from streams.base.section import Section
from streams.kafka.control_topic import ControlRecord

CHAMPION_KEY = "champion"
POLICY_KEY = "policy"
_WORKER = "scorer/"
_REMEMBERED = 20

ALIVE_EVERY_S = 60.0
"""How often a scorer repeats its report."""

SILENT_AFTER_MS = 150_000
"""A scorer whose report is older than this was killed."""

Outcome = Literal["serving", "refused"]
PackageId = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CommandError(InferenceError):
    """A record of the control topic can't be read; the message says where it stands."""


class ModelVersion(Section):
    """A model in the registry: its version there, and its package's id."""

    version: int = Field(ge=1)
    package: PackageId

    def __str__(self) -> str:
        return f"{self.package[:12]} (version {self.version})"


def version_of(model: RegisteredModel) -> ModelVersion:
    """A registered model as commands name it."""
    return ModelVersion(version=model.version, package=model.package_id)


class ChampionCommand(Section):
    """Under `CHAMPION_KEY`: this model shall answer.

    Attributes:
        before: those that were champion before, the latest last.
        by, note: who said so, and why.
        at: when, UTC milliseconds.
    """

    model: ModelVersion
    before: tuple[ModelVersion, ...] = ()
    by: str
    note: str = ""
    at: int

    def followed_by(self, model: ModelVersion, by: str, note: str, at: int) -> "ChampionCommand":
        """The command that makes another model champion."""
        before = (*self.before, self.model)[-_REMEMBERED:]
        return ChampionCommand(model=model, before=before, by=by, note=note, at=at)


class PolicyCommand(Section):
    """Under `POLICY_KEY`: decide by this; ``by``, ``note`` and ``at`` as for a champion."""

    policy: PolicySettings
    by: str
    note: str = ""
    at: int


class ScorerReport(Section):
    """Under ``scorer/NAME``: what a scorer did about a command.

    Attributes:
        outcome: ``serving``, or ``refused`` where something else goes on answering.
        model, policy: what answers now: the package's id, and the policy's version.
        asked_model, asked_policy: what the command asked for.
        reason: why it was refused.
        at: UTC milliseconds.
        alive: when it was last said, and so when the scorer was known to live; UTC milliseconds.
    """

    outcome: Outcome
    model: PackageId
    policy: str
    asked_model: PackageId
    asked_policy: str
    reason: str = ""
    at: int
    alive: int

    def lives(self, now_ms: int) -> bool:
        """Whether the scorer may still be there: killed, it can't say that it is not."""
        return now_ms - self.alive < SILENT_AFTER_MS


_Command = TypeVar("_Command", ChampionCommand, PolicyCommand, ScorerReport)


def report_key(worker: str) -> str:
    """Under which a scorer reports."""
    return _WORKER + worker


def worker_of(key: str) -> str | None:
    """The scorer that reports under a key, or None if it is no such key."""
    return key.removeprefix(_WORKER) if key.startswith(_WORKER) else None


def encode(command: Section) -> bytes:
    """The value of a control record."""
    return command.model_dump_json().encode()


def read_command(kind: type[_Command], record: ControlRecord) -> _Command | None:
    """What a record says, or None if it takes back what its key said.

    Raises:
        CommandError: it says nothing that makes sense.
    """
    if record.value is None:
        return None
    try:
        return kind.model_validate(json.loads(record.value))
    except ValidationError as error:
        problem: Any = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        reason = f"{where}: {problem['msg']}"
    except (ValueError, RecursionError) as error:
        reason = f"it is no JSON: {error}"
    raise CommandError(
        f"control record {record.key!r} ({record.place}) can't be read: {reason}. Say it "
        "again with `weir models promote` or `weir policy set`"
    )
