"""The ``[reasons]`` section of the settings."""

from pathlib import Path

from pydantic import Field

from streams.base.section import Section

MOST_REASONS = 4
"""More than four reasons are "not likely to be helpful" (Regulation B, official interpretation of
12 CFR 1002.9(b)(2))."""


class ReasonSettings(Section):
    """The ``[reasons]`` section: which catalogue, and how much of it one decision is told.

    Attributes:
        file: the catalogue; None for the one that comes with Weir's example features.
        languages: those that records hold, such as ``["en"]``; empty for all of the catalogue's.
        at_most: reasons for one decision.
        least_share: a group of features that raises the risk by less than this share of the whole
            rise is no reason.
    """

    file: Path | None = None
    languages: tuple[str, ...] = ()
    at_most: int = Field(default=MOST_REASONS, ge=1, le=MOST_REASONS)
    least_share: float = Field(default=0.05, ge=0, lt=1)
