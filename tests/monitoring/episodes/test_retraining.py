"""Whether to train anew, by what is open."""

from msgspec.structs import replace

from monitoring.episodes.episode import (
    DECODE_EPISODE,
    ENCODE_EPISODE,
    Episode,
    Kind,
    MovedFeature,
    WorseFigure,
)
from monitoring.episodes.retraining import Reason, retraining_verdict


def episode(name: str, kind: Kind, found: int = 5) -> Episode:
    moved = MovedFeature("amount", 1, 9.0, 0.3, 50, 1.0, 2.0, "amount: twice", "unit_change")
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
    assert both.broken == (5, None)
    assert replace(both, features=[moved, replace(later, back=7)]).broken == (5, 7)
    assert replace(both, state="closed", ended=9).broken == (5, 9)
    assert replace(both, features=[]).broken == (0, None)
    assert SHIFTED.broken is None
