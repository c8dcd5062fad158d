"""How long records wait for company."""

from streams.loop.linger import Linger


def test_without_a_wait_all_is_ripe_at_once() -> None:
    linger = Linger(0, 10)
    assert linger.due(1)
    assert linger.due(0)


def test_the_first_waits_for_others_but_not_for_ever() -> None:
    now = [100.0]
    linger = Linger(500, 10, lambda: now[0])
    assert linger.due(0)
    assert not linger.due(1)
    now[0] += 0.25
    assert not linger.due(9)
    assert linger.due(10), "that is enough"
    now[0] += 0.25
    assert linger.due(2)
    linger.begun()
    assert not linger.due(3), "those that come next wait for others again"
    now[0] += 0.5
    assert linger.due(3)


def test_the_wait_begins_with_the_first_record() -> None:
    now = [0.0]
    linger = Linger(500, 10, lambda: now[0])
    assert linger.due(0)
    now[0] += 5.0
    assert not linger.due(1)
