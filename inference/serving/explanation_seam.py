"""What a score can carry of why it was decided so: the seam to whoever explains."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference.packages.package import ModelPackage
from inference.routing.verdicts import Verdicts
from streams.intake.input_batch import InputBatch
from streams.transactions.outcome import Outgoing

if TYPE_CHECKING:
    from streams.tracing.tracer import BegunSpans


class ScoreExplanation(msgspec.Struct, gc=False, omit_defaults=True):
    """The reasons for a flagged decision, as the event's score carries them.

    Attributes:
        status: ``pending`` where there was no time: they follow on the topic of explanations;
            ``failed`` where there can be none.
        id: of the explanation record.
        confident: whether the explanation may be relied on.
        reasons: JSON, as in the record.
    """

    status: Literal["attached", "pending", "failed"]
    id: str | msgspec.UnsetType = msgspec.UNSET
    confident: bool | msgspec.UnsetType = msgspec.UNSET
    reasons: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class ScoredBatch:
    """n events with the answers to them.

    Attributes:
        features: float32 (n, width), in the order of the plan's names.
        spans: which traces the events belong to; None where no spans are made.
    """

    work: InputBatch
    features: NDArray[np.float32]
    verdicts: Verdicts
    spans: "BegunSpans | None" = None


class InlineExplainer(Protocol):
    """Explains while the events wait."""

    def prepare(self, package: ModelPackage, number: int) -> None:
        """Make ready for a model's answers; called before it serves, from another thread.

        Args:
            number: its version in the registry, which need not be there.
        """

    def explain(self, answered: ScoredBatch) -> tuple[dict[int, ScoreExplanation], list[Outgoing]]:
        """What to attach to which of the events, and records that go with their scores."""
