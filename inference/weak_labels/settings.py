"""The ``[review]`` section."""

from pydantic import Field

from streams.base.section import Section


class ReviewSettings(Section):
    """What reviewers look at next.

    Attributes:
        learning_share: of the capacity goes to events whose label teaches most; the rest to those
            of the highest risk.
        seed: of the draw among them.
    """

    learning_share: float = Field(default=0.1, ge=0, le=1)
    seed: int = Field(default=7, ge=0)
