"""What waits to be counted is said when event time leaps, and now and then."""

from confluent_kafka import KafkaError, KafkaException

from monitoring.counting.cell_counts import DECODE, Unread
from monitoring.counting.unread_watch import UnreadWatch

LEAP = 600_000


class World:
    """A worker's partitions, and its clock."""

    def __init__(self) -> None:
        self.unread = {("log", 0): 0, ("log", 1): 3}
        self.now = 10.0
        self.asked, self.away = 0, False
        self.others: dict[tuple[str, int], int] = {}
        self.others_asked, self.others_away = 0, False
        self.watch = UnreadWatch(self.ask, self.ask_others, LEAP, lambda: self.now)

    def ask(self) -> dict[tuple[str, int], int]:
        self.asked += 1
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return dict(self.unread)

    def ask_others(self) -> dict[tuple[str, int], int]:
        self.others_asked += 1
        if self.others_away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return self.others

    def said(self, values: list[bytes]) -> list[dict[int, int]]:
        found = [DECODE(each) for each in values]
        assert all(isinstance(each, Unread) for each in found)
        return [each.partitions for each in found if isinstance(each, Unread)]

    def look(self, reached: int, *, commit: bool = True) -> list[dict[int, int]]:
        front, behind = self.watch.look(reached, {0})
        said = self.said(behind)
        waiting = [each | ({0: each[0] + 1} if 0 in each else {}) for each in said]
        assert self.said(front) == waiting, "its own counts are yet to come"
        if commit:
            self.watch.committed()
        return said

    def rest(self) -> list[dict[int, int]]:
        said = self.said(self.watch.at_rest())
        self.watch.committed()
        return said


def test_it_looks_first_then_now_and_then_and_where_time_leaps() -> None:
    world = World()
    assert world.look(0) == [{0: 0, 1: 3}]
    assert world.look(LEAP) == []
    assert world.look(LEAP + 1) == [{0: 0, 1: 3}], "small steps add up"
    assert world.asked == 2
    world.now += 1.1
    assert world.look(LEAP + 2) == [{0: 0, 1: 3}]
    assert world.look(LEAP + 3) == []


def test_at_rest_it_says_what_is_new() -> None:
    world = World()
    world.look(0)
    assert world.rest() == []
    world.unread["log", 1] = 0
    assert world.rest() == [{0: 0, 1: 0}]
    assert world.rest() == []
    del world.unread["log", 1]
    assert world.rest() == [{0: 0}]


def test_what_was_taken_back_is_said_again() -> None:
    world = World()
    assert world.look(LEAP, commit=False) == [{0: 0, 1: 3}]
    assert world.look(LEAP) == [{0: 0, 1: 3}]
    world.unread["log", 1] = 0
    assert world.said(world.watch.at_rest()) == [{0: 0, 1: 0}]
    assert world.rest() == [{0: 0, 1: 0}]


def test_a_cluster_that_is_away_is_asked_again() -> None:
    world = World()
    world.away = True
    assert world.look(0) == world.rest() == []
    world.away = False
    assert world.look(0) == [{0: 0, 1: 3}]
    world.away = True
    assert world.look(LEAP + 1) == world.rest() == []
    world.away = False
    assert world.look(LEAP + 1) == [{0: 0, 1: 3}]


def test_what_went_and_comes_back_is_said_again() -> None:
    """Another worker has spoken of it meanwhile, and nothing was to be committed."""
    world = World()
    world.unread = {("log", 1): 0}
    assert world.look(0) == [{1: 0}]
    assert world.rest() == []
    world.unread = {}
    world.watch.at_rest()
    world.unread = {("log", 1): 0}
    assert world.rest() == [{1: 0}]


def test_at_first_it_speaks_of_those_that_others_have_not_begun() -> None:
    world = World()
    world.others = {("log", 2): 9}
    assert world.look(0, commit=False) == [{0: 0, 1: 3, 2: 9}]
    assert world.look(0) == [{0: 0, 1: 3, 2: 9}], "what was taken back has said nothing"
    assert world.look(LEAP + 1) == [{0: 0, 1: 3}], "from then on they say it"
    del world.unread["log", 1]
    world.others["log", 1] = 2
    assert world.look(2 * LEAP + 2) == [{0: 0, 1: 2, 2: 9}]


def test_what_is_not_known_of_others_keeps_nobody_from_speaking_of_its_own() -> None:
    world = World()
    world.others_away = True
    assert world.look(0) == [{0: 0, 1: 3}]
    assert world.rest() == []
    world.others_away, world.others = False, {("log", 2): 9}
    assert world.rest() == [{0: 0, 1: 3, 2: 9}], "it is asked again"
    assert world.rest() == []


def test_who_has_no_partition_speaks_of_none() -> None:
    world = World()
    world.unread, world.others = {}, {("log", 0): 9}
    asked = world.others_asked
    assert [world.said(world.watch.at_rest()) for _ in range(5)] == [[]] * 5
    assert world.others_asked == asked


def test_what_is_known_is_said_again_now_and_then() -> None:
    """Another may have said, meanwhile, what it knew of ours before."""
    world = World()
    world.look(0)
    said = []
    for _ in range(130):
        world.now += 1
        said += world.rest()
    assert said == [{0: 0, 1: 3}] * 2
