"""What the retraining controller knows: all of it stands in one value of its table."""

from typing import Literal, TypeVar

import msgspec

from monitoring.episodes.spans import united_past
from monitoring.retraining.jobs.job import JobSpec

Phase = Literal["ok", "warn", "triggered", "running", "shadow", "cooldown"]
"""``warn``: something has happened, and no job is decided; ``triggered``: one is decided, and not
known to run; ``shadow``: its model is tried beside the champion."""

Outcome = Literal[
    "promoted",
    "worse",
    "withdrawn",
    "not promoted in time",
    "no other model",
    "failed",
    "timed out",
]


class Cause(msgspec.Struct, frozen=True):
    """Why a model is trained anew.

    Attributes:
        id: an episode's, or one of the schedule or of a person's word: no two jobs have the same.
        why: in words.
        since: when what it is about began, event time in ms; None where it has no beginning.
    """

    kind: Literal["episode", "schedule", "person"]
    id: str
    why: str
    since: int | None = None


class OpenEpisode(msgspec.Struct, frozen=True):
    """An episode that goes on, as far as retraining is concerned.

    Attributes:
        model: the first digits of its package's id, or ``all``.
        retraining: what it says of that; None for nothing.
        breakages: see `Episode.breakages`.
    """

    id: str
    model: str
    kind: str
    began: int
    words: str
    retraining: Literal["asked", "blocked"] | None
    breakages: list[tuple[int, int | None]] = []


class TrainedModel(msgspec.Struct, frozen=True):
    """A model in the registry."""

    version: int
    package: str


class Job(msgspec.Struct, frozen=True):
    """A job that was decided, and what became of it.

    Attributes:
        attempt: which one this is, from 1 on.
        decided, submitted, ended: UTC ms.
        tried_since: when its model was named as a candidate, UTC ms.
        verdict: on its costs beside the champion's; empty while there is none.
    """

    key: str
    cause: Cause
    spec: JobSpec
    decided: int
    attempt: int = 1
    submitted: int | None = None
    model: TrainedModel | None = None
    tried_since: int | None = None
    verdict: str = ""
    outcome: Outcome | None = None
    ended: int | None = None

    @property
    def candidate(self) -> str:
        """Its model's name in the shadow."""
        return f"retrained-{self.key[:8]}"


class ControllerState(msgspec.Struct, frozen=True):
    """All that the controller knows.

    Attributes:
        since: when the phase began, UTC ms.
        episodes: those that are open, by id.
        breakages: from when to when features were broken, event times in ms, by episode.
        handled: causes that had a job, the latest last: each has one, whatever became of it.
        decided: when jobs were decided, UTC ms, of the last 24 hours.
        job: the latest one.
        paused: whether a person keeps it from deciding jobs.
        asked: what a person has asked for, and has not had yet.
        answered: when the latest word of a person was said that has been heeded, UTC ms.
        scheduled: when the schedule had its last job, or began, UTC ms; 0 where it has not begun.
        waits_for: why no job is decided though one is asked for, in words.
    """

    phase: Phase = "ok"
    since: int = 0
    episodes: dict[str, OpenEpisode] = {}
    breakages: dict[str, list[tuple[int, int]]] = {}
    handled: tuple[str, ...] = ()
    decided: tuple[int, ...] = ()
    job: Job | None = None
    paused: bool = False
    asked: Cause | None = None
    answered: int = 0
    scheduled: int = 0
    waits_for: str = ""

    @property
    def left_out(self) -> tuple[tuple[int, int], ...]:
        """The spans of event times, ms, of which no job learns: features were broken in them."""
        return tuple(united_past(each for spans in self.breakages.values() for each in spans))


ENCODE_STATE = msgspec.json.Encoder().encode
DECODE_STATE = msgspec.json.Decoder(ControllerState).decode

_Value = TypeVar("_Value", bound=msgspec.Struct)


def changed(value: _Value, **parts: object) -> _Value:
    """The same with other parts."""
    return msgspec.structs.replace(value, **parts)
