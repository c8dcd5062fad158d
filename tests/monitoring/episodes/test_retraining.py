"""Whether to train anew, by what is open."""

from msgspec.structs import replace

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import (
    DECODE_EPISODE,
    ENCODE_EPISODE,
    Episode,
    Kind,
    MovedFeature,
    WorseFigure,
    after,
    with_features,
)
from monitoring.episodes.retraining import Reason, retraining_verdict


def episode(name: str, kind: Kind, found: int = 5) -> Episode:
    change = "unit_change" if kind == "data_breakage" else "covariate_shift"
    moved = MovedFeature("amount", 1, 9.0, 0.3, 50, 1.0, 2.0, "amount: twice", change)
    worse = WorseFigure("recall", 1, 9.0, 0.3, 0.5, "recall: 0.3")
    features, figures = ([], [worse]) if kind == "performance_loss" else ([moved], [])
    return Episode(name, "m", kind, "page", "open", 1, found, features, figures=figures)


WORSE, BROKEN = episode("w", "performance_loss", 3), episode("b", "data_breakage", 4)
SHIFTED = episode("s", "covariate_shift", 2)


def test_a_record_says_what_it_means_for_retraining() -> None:
    assert [each.retraining for each in (WORSE, BROKEN, SHIFTED)] == ["asked", "blocked", None]
    assert replace(SHIFTED, kind="data_breakage").retraining == "blocked"
    assert b'"retraining":"asked"' in ENCODE_EPISODE(WORSE)
    old = ENCODE_EPISODE(BROKEN).replace(b',"retraining":"blocked"', b"")
    assert DECODE_EPISODE(old) == BROKEN, "one that was said before"


def test_a_loss_asks_and_broken_data_block() -> None:
    assert retraining_verdict([]).state == retraining_verdict([SHIFTED]).state == "idle"
    asked = retraining_verdict([SHIFTED, WORSE])
    assert (asked.state, asked.asked_by) == ("asked", [Reason("w", "m", "recall: 0.3")])
    assert asked.words == "asked for: recall: 0.3 (episode w, model m)"
    both = retraining_verdict([BROKEN, WORSE, episode("a", "data_breakage", 1)])
    assert both.state == "blocked"
    assert [each.episode for each in both.blocked_by] == ["a", "b"]
    assert "amount: twice (episode b, model m)" in both.words
    assert "asked for all the same: recall: 0.3" in both.words
    snoozed = replace(BROKEN, snoozed_until=2**60, acknowledged_by="ada")
    assert retraining_verdict([snoozed]).state == "blocked"


def test_what_is_over_says_nothing() -> None:
    over = [replace(each, state="closed", ended=9) for each in (WORSE, BROKEN)]
    assert retraining_verdict(over).state == "idle"
    assert retraining_verdict(over).words == "nothing asks for it"


def test_what_is_mended_blocks_nothing_though_what_it_moved_is_still_away() -> None:
    (broken,) = BROKEN.features
    moved = replace(broken, name="answer:anomaly", kind="covariate_shift")
    half = replace(broken, name="rate", back=6)
    for features, mended in (
        ([broken, moved], None),
        ([broken, half], None),
        ([replace(broken, back=7), moved], 7),
        ([replace(broken, back=7), half, moved], 7),
    ):
        episode = replace(BROKEN, features=features)
        assert (episode.mended, episode.state) == (mended, "open")
        assert episode.retraining == ("blocked" if mended is None else None)
    assert SHIFTED.mended is None


def test_data_are_broken_from_when_on_the_first_feature_is() -> None:
    """What moved before was another world."""
    (broken,) = BROKEN.features
    moved = replace(broken, name="hour", kind="covariate_shift", since=0)
    later = replace(broken, since=5)
    both = replace(BROKEN, began=0, features=[moved, later])
    assert both.breakages == [(5, None)]
    assert replace(both, features=[moved, replace(later, back=7)]).breakages == [(5, 7)]
    assert replace(both, state="closed", ended=9).breakages == [(5, 9)]
    assert replace(both, features=[]).breakages == [(0, None)]
    assert SHIFTED.breakages == []


def test_what_was_broken_twice_is_known_to_have_been() -> None:
    (broken,) = BROKEN.features
    first = replace(broken, back=4)
    other = replace(broken, name="rate", since=2, back=6)
    episode = replace(BROKEN, features=[first, other])
    assert episode.breakages == [(1, 6)], "in as few spans as there can be"
    again = replace(broken, since=9)
    twice = with_features(episode, [again, other])
    assert twice.breakages == [(1, 6), (9, None)]
    assert DECODE_EPISODE(ENCODE_EPISODE(twice)) == twice
    shift = replace(again, kind="covariate_shift")
    assert with_features(twice, [replace(again, back=11), other]).breakages == [(1, 6), (9, 11)]
    later = replace(with_features(episode, [shift, other]), kind="covariate_shift")
    assert later.breakages == [(1, 6)], "what became of it later changes nothing of that"


def test_many_features_that_break_together_forget_nothing() -> None:
    (one,) = BROKEN.features
    names = [f"f{place}" for place in range(70)]
    episode = replace(BROKEN, features=[])
    for start in range(100, 600, 100):
        again = [replace(one, name=name, since=start + i % 7) for i, name in enumerate(names)]
        episode = with_features(episode, again)
        whole = [replace(each, back=each.since + 20 + i % 5) for i, each in enumerate(again)]
        episode = with_features(episode, whole)
    assert [start for start, _ in episode.breakages] == list(range(100, 600, 100))


def test_what_is_known_better_never_was_broken() -> None:
    (broken,) = BROKEN.features
    for back in (None, 7):
        known = replace(broken, kind="covariate_shift")
        episode = replace(BROKEN, features=[replace(broken, back=back)])
        assert with_features(episode, [known]).breakages == []


def test_who_closes_an_episode_says_that_it_was_over_by_the_time_of_the_stream() -> None:
    """The clock on the wall is far ahead of a stream that lags, or is replayed."""
    act = EpisodeAct("b", "close", "ada", "why", 1_700_000_000_000)
    closed = after(BROKEN, act, 90)
    assert (closed.state, closed.ended, closed.breakages) == ("closed", 90, [(1, 90)])
    assert after(BROKEN, act, 0).ended == BROKEN.found
