"""A retraining job: what it is told, by which key it is known, and what runs it."""

from hashlib import sha256
from typing import Literal, Protocol

import msgspec

from streams.base.errors import UNAVAILABLE, WeirError

_KEY_DIGITS = 16


class RunnerError(WeirError):
    """A runner did not take a job, or does not say how it stands; asking again may help."""

    exit_code = UNAVAILABLE


# Defaults are omitted: what is new must not change the key of a job that was decided before it.
class JobSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job trains on: enough that whoever gets it trains the same model.

    Attributes:
        cause: the episode, the date or the person's word because of which it was decided.
        champion: id of the package that answered when it was decided.
        feature_schema: hash of the features that the new model reads.
        archive: where the rows are.
        until: up to which offset of each partition the archive's tables are read, by
            ``TABLE/PARTITION``: the version of the data.
        start, stop: span of event times, UTC milliseconds; None where it is open.
        label_delay: age in ms at which labels are taken.
        unlabelled_legitimate: whether a mature event without a label is taken for legitimate.
        left_out: spans of event times, UTC milliseconds, in which data were broken.
    """

    cause: str
    champion: str
    feature_schema: str
    archive: str
    until: dict[str, int]
    start: int | None
    stop: int | None
    label_delay: int
    unlabelled_legitimate: bool
    left_out: tuple[tuple[int, int], ...] = ()

    @property
    def key(self) -> str:
        """Names the job: who decides the same gives it the same one."""
        parts = msgspec.json.encode(
            msgspec.structs.replace(self, until=dict(sorted(self.until.items())))
        )
        return sha256(parts).hexdigest()[:_KEY_DIGITS]


JobState = Literal["unknown", "running", "ended"]
"""``unknown``: the runner has never heard of it, or has forgotten it. Whether one that has ended
has led to a model, the registry says: a runner may be wrong about that."""


class Runner(Protocol):
    """Runs jobs. Any method may be called again, also by another controller than before."""

    def submit(self, key: str, spec: JobSpec, attempt: int) -> None:
        """Have a job run; nothing where this attempt at it runs or has run.

        Raises:
            RunnerError: it was not taken.
        """

    def state(self, key: str, attempt: int) -> JobState:
        """How an attempt at a job stands.

        Raises:
            RunnerError: that can't be learned now.
        """

    def cancel(self, key: str) -> None:
        """End a job; nothing where it does not run.

        Raises:
            RunnerError: that can't be done now.
        """
