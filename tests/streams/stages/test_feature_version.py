"""Which stage topics a group's positions were made for."""

from test_staged_network import TABLES, plan_of

from streams.stages.common.feature_version import Version
from streams.stages.common.names import StageTopics
from streams.stages.common.split import split_plan
from streams.stages.common.step import pack, unpack

PLAN, NAMES = split_plan(plan_of(TABLES), "customer"), StageTopics()
ENTITIES = sorted(part.entity for part in PLAN.parts)


def test_topics_of_entities_with_other_numbers_of_partitions_are_others() -> None:
    """A value is kept by the partition that its hash modulo that number says."""
    four, six = (Version.of(PLAN, NAMES, dict.fromkeys(ENTITIES, count)) for count in (4, 6))
    assert unpack(pack(four), Version) == four
    assert four != six
    expected = f"had {[4] * len(ENTITIES)} partitions, not {[6] * len(ENTITIES)}"
    assert expected in six.unlike(four)


def test_positions_that_do_not_say_the_numbers_are_taken_for_the_same() -> None:
    """Such as those of a former release."""
    said = Version.of(PLAN, NAMES, dict.fromkeys(ENTITIES, 4))
    silent = unpack(pack([NAMES.prefix, said.digests]), Version)
    assert silent == said
    assert silent != Version.of(PLAN, StageTopics(prefix="other"))
