"""What happens to the retraining controller, and what it has done in return."""

from typing import NamedTuple

import msgspec

from monitoring.retraining.jobs.job import JobSpec, JobState
from monitoring.retraining.state import Cause, OpenEpisode, TrainedModel


class EpisodeHeard(msgspec.Struct, frozen=True):
    """The drift topic says how an episode stands."""

    episode: OpenEpisode
    open: bool


class VerdictHeard(msgspec.Struct, frozen=True):
    """The topic of comparisons says how a candidate fares.

    Attributes:
        package: of the model that was compared.
        verdict: see `inference.shadow.comparison.comparison.Verdict`.
    """

    candidate: str
    package: str
    verdict: str


class Material(msgspec.Struct, frozen=True):
    """What could be trained on now.

    Attributes:
        labels, frauds: mature events with a label since the cause's beginning.
        spec: of a job for that cause.
    """

    labels: int
    frauds: int
    spec: JobSpec


class Looked(msgspec.Struct, frozen=True):
    """What is found when one looks.

    Attributes:
        champion: the package that shall answer; None where there is none yet.
        paused, asked, said: what people say; `said` when they said it last, UTC ms.
        job: how the job's present attempt stands; None where there is no job to ask for.
        model: what the registry has of the job.
        candidates: the package of each candidate that is tried, by name.
        left: names of candidates that somebody has taken away.
        material: for the cause that `next_cause` names; None where there is none, or where that
            can't be learned now; `hindrance` says why then.
    """

    champion: str | None
    paused: bool = False
    asked: Cause | None = None
    said: int = 0
    job: JobState | None = None
    model: TrainedModel | None = None
    candidates: dict[str, str] = {}
    left: frozenset[str] = frozenset()
    material: Material | None = None
    hindrance: str = ""


Event = EpisodeHeard | VerdictHeard | Looked


class Submit(NamedTuple):
    """Have a job run."""

    key: str
    spec: JobSpec
    attempt: int


class Cancel(NamedTuple):
    """End a job."""

    key: str


class TryOut(NamedTuple):
    """Name a model as a candidate of the shadow."""

    candidate: str
    model: TrainedModel
    why: str


class TakeAway(NamedTuple):
    """Take a candidate from the shadow."""

    candidate: str
    model: TrainedModel
    why: str


Command = Submit | Cancel | TryOut | TakeAway
