"""What a detector has found: a feature that has moved, where, and against what."""

from dataclasses import dataclass

from monitoring.drift.detector import Moved
from monitoring.episodes.episode import Reference


@dataclass(frozen=True)
class Finding:
    """A feature that has moved.

    Attributes:
        segment: in which part of the stream, such as ``country=DE``; None for all of it.
    """

    feature: str
    reference: Reference
    moved: Moved
    segment: str | None = None

    @property
    def name(self) -> str:
        """What an episode calls it."""
        return named(self.feature, self.segment)


def named(feature: str, segment: str | None) -> str:
    """What an episode calls a feature of all events, or of a segment."""
    return feature if segment is None else f"{feature} in {segment}"
