"""Positions with which a group goes over from stage topics of some features to those of others."""

from collections.abc import Mapping

from streams.kafka.partition import PartitionId
from streams.stages.common.feature_version import Version
from streams.stages.common.step import StagePosition, moved_to, pack
from streams.stages.join.joiner import answered_before, answering_from
from streams.stages.route.routing import Progress, Routed


def migrated_offsets(
    committed: Mapping[PartitionId, StagePosition | None],
    firsts: Mapping[PartitionId, int],
    former: str,
    enriched: str,
    version: Version,
) -> dict[PartitionId, StagePosition]:
    """What to commit so that a group goes on with new stage topics.

    Args:
        committed: positions of the sources, and of the topic whose events were answered so far.
        firsts: of each source partition, the first offset that has not expired.
        former: that topic.
        enriched: the topic whose events are answered from now on.
    """
    new = {}
    for place, first in firsts.items():
        position = committed[place]
        offset = position.offset if position is not None else first
        routed = Routed(Progress(), version, again_from=0)
        new[place] = StagePosition(offset, pack(routed))
    for (topic, partition), position in committed.items():
        if topic == former:
            new[enriched, partition] = answering_from(answered_before(position))
            offset = position.offset if position is not None else 0
            new[topic, partition] = StagePosition(offset, moved_to(version.prefix))
    return new
