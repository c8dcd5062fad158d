"""How long records wait for company."""

from streams.loop.linger import Gathering


def test_without_a_wait_all_is_ripe_at_once() -> None:
    gathering = Gathering(0, 10)
    assert gathering.ripe(1)
    assert gathering.ripe(0)


def test_the_first_waits_for_others_but_not_for_ever() -> None:
    now = [100.0]
    gathering = Gathering(500, 10, lambda: now[0])
    assert gathering.ripe(0)
    assert not gathering.ripe(1)
    now[0] += 0.25
    assert not gathering.ripe(9)
    assert gathering.ripe(10), "that is enough"
    now[0] += 0.25
    assert gathering.ripe(2)
    gathering.taken()
    assert not gathering.ripe(3), "those that come next wait for others again"
    now[0] += 0.5
    assert gathering.ripe(3)


def test_the_wait_begins_with_the_first_record() -> None:
    now = [0.0]
    gathering = Gathering(500, 10, lambda: now[0])
    assert gathering.ripe(0)
    now[0] += 5.0
    assert not gathering.ripe(1)
