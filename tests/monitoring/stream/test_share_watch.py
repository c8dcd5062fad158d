import numpy as np

from monitoring.stream.share_watch import Rule, Share

MINUTE = 60_000
RNG = np.random.default_rng(8)
LETTERS = Rule(times=3, least=0.001, past=1_000, calm_ms=10 * MINUTE)
CROWD = Rule(times=1.5, least=0, past=100, calm_ms=10 * MINUTE)


def watched(share: Share, rule: Rule, yes: np.ndarray, total: int) -> list[int]:
    """The minutes in which it was seen to have risen."""
    found = []
    for minute, each in enumerate(yes.tolist()):
        share.take(rule, {"a": (each, total)}, minute * MINUTE, (minute + 1) * MINUTE)
        found += [minute] if share.found else []
    return found


def test_a_share_that_rises_is_found_dated_and_over_again() -> None:
    share = Share()
    yes = RNG.binomial(1_000, 0.002, 300)
    yes[100:130] = RNG.binomial(1_000, 0.02, 30)
    found = watched(share, LETTERS, yes, 1_000)
    assert 102 <= found[0] <= 106
    assert found == list(range(found[0], found[-1] + 1))
    assert 138 <= found[-1] <= 145
    assert share.past[1] >= 250_000


def test_a_mixture_that_moves_is_no_crowd() -> None:
    """Either side of a bound is in a strip so narrow that the odds hardly change."""
    past = RNG.lognormal(4.3, 1.2, 100_000)
    for _ in range(200):
        share = Share((int(((past >= 210) & (past < 220)).sum()), 0))
        share.past = share.past[0], share.past[0] + int(((past >= 220) & (past < 230)).sum())
        values = RNG.lognormal(4.3 + RNG.uniform(-1, 1), RNG.uniform(0.8, 1.6), 20_000)
        below, above = ((values >= low) & (values < low + 10) for low in (210, 220))
        counts = [
            (int(a.sum()), int(b.sum()))
            for a, b in zip(*(np.split(x, 20) for x in (below, above)), strict=True)
        ]
        for place, (one, other) in enumerate(counts):
            share.take(CROWD, {"": (one, one + other)}, place * MINUTE, (place + 1) * MINUTE)
            assert not share.found


def test_what_comes_at_once_is_no_rise_and_nothing_is_said_of_a_start() -> None:
    share = Share((2, 100_000))
    share.take(LETTERS, {"a": (300, 1_000)}, 0, MINUTE)
    assert not share.found
    fresh = Share()
    assert watched(fresh, LETTERS, np.full(3, 30), 300) == []


def test_what_somebody_closes_is_usual_from_then_on() -> None:
    share = Share((10, 20_000))
    assert watched(share, LETTERS, np.full(20, 50), 1_000)
    share.begin_anew(share.total)
    assert watched(share, LETTERS, np.full(50, 50), 1_000) == []
