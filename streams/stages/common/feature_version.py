"""Which features the topics between the stages were made for."""

from typing import Self

import msgspec

from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan

_JOIN = ""
_DIGEST = 8


class Version(msgspec.Struct, frozen=True, array_like=True):
    """Stage topics and the features that stand in them.

    Attributes:
        prefix: of the topics' names.
        digests: by entity what its stage computes; under the empty name, all that is computed.
    """

    prefix: str
    digests: dict[str, str]

    @classmethod
    def of(cls, plan: StagedPlan, stages: StageTopics) -> Self:
        """What this plan makes of these topics."""
        parts = {part.entity: part.digest[:_DIGEST] for part in plan.parts}
        return cls(stages.prefix, {_JOIN: plan.digest[:_DIGEST], **parts})

    def unlike(self, other: "Version") -> str:
        """In words, which features are not those of another version."""
        entities = [
            repr(name)
            for name in sorted(self.digests.keys() | other.digests.keys())
            if name != _JOIN and self.digests.get(name) != other.digests.get(name)
        ]
        return f"those over {', '.join(entities)}" if entities else "fields, or those over the key"
