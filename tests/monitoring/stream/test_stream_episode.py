"""What begins and is over in one look, as where a monitor catches up, goes on no longer."""

from monitoring.episodes.episode import Episode, MovedFeature
from monitoring.episodes.kept import Kept
from monitoring.stream.stream_episode import StreamEpisode
from streams.loop.stateless.keyed_state import PartitionState

BURST = MovedFeature("letters", 5, 9.0, 0.3, 50, 0.1, 0.5, "many letters", "dead_letters")
OTHER = MovedFeature("silence", 7, 9.0, 0.3, 50, 0.1, 0.5, "silent", "silent_producer")


def begun() -> StreamEpisode:
    closed: list[Episode] = []
    return StreamEpisode(Kept(PartitionState({})), "data_breakage", "page", closed.append)


def test_a_burst_that_is_over_already_is_said_and_closed() -> None:
    stream = begun()
    episode = stream.follow([BURST], ["letters"], 30)
    assert episode is not None
    assert (episode.state, episode.ended, episode.breakages) == ("closed", 30, [(5, 30)])
    assert stream.episode is None


def test_one_of_two_is_over_and_what_came_back_is_over_again() -> None:
    stream = begun()
    stream.follow([OTHER], [], 10)
    both = stream.follow([BURST], ["letters"], 30)
    assert both is not None
    assert both.away == ["silence"]
    later = MovedFeature("letters", 40, 9.0, 0.3, 50, 0.1, 0.5, "many", "dead_letters")
    again = stream.follow([later], ["letters"], 60)
    assert again is not None
    assert again.away == ["silence"]
    over = stream.follow([], ["silence"], 70)
    assert over is not None
    assert (over.state, over.breakages) == ("closed", [(5, 70)])
    assert over.broken_before == [(5, 30)]
