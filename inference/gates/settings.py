"""The ``[gates]`` section."""

from pydantic import Field

from streams.base.section import Duration, Section


class GateSettings(Section):
    """The ``[gates]`` section: what stands between a candidate and `weir models promote`.

    Attributes:
        enforce: refuse to promote a model while a gate is not passed, unless it is waived; else
            say so, and promote it.
        second_person: a waiver counts only if somebody else promotes the model than who gave it.
        min_labels: mature events with a label, or counted as legitimate without one, that both have
            answered.
        min_frauds: frauds among them.
        canary: whether a canary has to have come to its last step.
        max_age: of what was found; older findings count for nothing.
        every: how often `weir judge` compares.
    """

    enforce: bool = False
    second_person: bool = False
    min_labels: int = Field(default=1_000, ge=0)
    min_frauds: int = Field(default=50, ge=0)
    canary: bool = True
    max_age: Duration = Field(default=7 * 86_400_000, gt=0)
    every: Duration = Field(default=900_000, ge=1_000)
