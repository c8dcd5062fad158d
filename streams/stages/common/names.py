"""Names of the topics between the stages."""

import re

import xxhash
from pydantic import Field

from streams.base.section import Section

_STRANGE = re.compile(r"[^a-zA-Z0-9._-]")
_LONGEST = 180


class StageTopics(Section):
    """The ``[stages]`` section: topics between the stages.

    Attributes:
        prefix: what their names begin with: ``weir.by-terminal_id``, ``weir.enriched``.
        keyed: whether all events of a key are in one partition, as producers do by default. If
            not, the key gets a stage as any other entity.
    """

    prefix: str = Field(default="weir", pattern=r"^[a-zA-Z0-9._-]+$", max_length=40)
    keyed: bool = True

    def by_entity(self, entity: str) -> str:
        """Where the events of an entity are brought together.

        A name that Kafka would refuse is spelled with underscores and a hash.
        """
        name = _STRANGE.sub("_", entity)[:_LONGEST]
        if name != entity:
            name += f"-{xxhash.xxh3_64_hexdigest(entity.encode())}"
        return f"{self.prefix}.by-{name}"

    @property
    def enriched(self) -> str:
        """Where events meet the features that were computed elsewhere."""
        return f"{self.prefix}.enriched"


def target_partition(value: int | str | None, source: int, targets: int) -> int:
    """The partition that keeps an entity's value: xxh3-64 of its UTF-8 text, modulo `targets`.

    An int's text is decimal. An event without the entity stays with its own partition's number.
    """
    if value is None:
        return source % targets
    return xxhash.xxh3_64_intdigest(str(value).encode()) % targets
