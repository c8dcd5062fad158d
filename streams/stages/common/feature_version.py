"""Which features the topics between the stages were made for."""

from collections.abc import Mapping
from typing import Self

import msgspec

from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan

_JOIN = ""
_DIGEST = 8


class Version(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """Stage topics and the features that stand in them.

    Attributes:
        prefix: of the topics' names.
        digests: by entity what its stage computes; under the empty name, all that is computed.
        targets: how many partitions the topics of the entities have, in the order of their names;
            which of them keeps a value depends on it. Empty where nobody has said so.
    """

    prefix: str
    digests: dict[str, str]
    targets: list[int] = []

    @classmethod
    def of(
        cls, plan: StagedPlan, stages: StageTopics, targets: Mapping[str, int] | None = None
    ) -> Self:
        """What this plan makes of these topics, which have so many partitions by entity."""
        parts = {part.entity: part.digest[:_DIGEST] for part in plan.parts}
        counts = [targets[entity] for entity in sorted(parts)] if targets else []
        return cls(stages.prefix, {_JOIN: plan.digest[:_DIGEST], **parts}, counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        same = (self.prefix, self.digests) == (other.prefix, other.digests)
        known = bool(self.targets) and bool(other.targets)
        return same and (not known or self.targets == other.targets)

    def __ne__(self, other: object) -> bool:
        # Else the one of the base is found, which compares identities.
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def unlike(self, other: "Version") -> str:
        """In words, which features are not those of another version."""
        entities = [
            repr(name)
            for name in sorted(self.digests.keys() | other.digests.keys())
            if name != _JOIN and self.digests.get(name) != other.digests.get(name)
        ]
        if not entities and self.digests == other.digests:
            return f"the topics of the entities had {other.targets} partitions, not {self.targets}"
        return f"those over {', '.join(entities)}" if entities else "fields, or those over the key"
