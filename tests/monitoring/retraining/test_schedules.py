"""Random schedules with kills at every step: one job for each cause, never two, never none."""

import pytest

from monitoring.retraining.events import EpisodeHeard
from monitoring.retraining.jobs.job import JobSpec
from monitoring.retraining.state import OpenEpisode, changed
from tests.monitoring.retraining.schedule_world import DAY, HOUR, SETTINGS, KilledError, World

SCHEDULES = 1_000
STEPS = 120


def settle(world: World) -> None:
    """All that stood against a job is gone, and nobody is killed any more."""
    world.kills = 0.0
    for name in [each.id for each in world.episodes.values() if each.retraining == "blocked"]:
        world.end_episode(name)
    if world.paused:
        world.paused, world.said = False, world.now
    world.labels = 5_000
    for _ in range(80):
        world.now += 13 * HOUR
        world.look()
        world.job_goes_on()
        world.look()


@pytest.mark.parametrize("part", range(4))
def test_each_cause_has_one_job(part: int) -> None:
    killed = jobs = phases = 0
    for seed in range(part, SCHEDULES, 4):
        world = World(seed, kills=0.08)
        seen = set()
        for _ in range(STEPS):
            world.happens()
            seen.add(world.state.phase)
        world.episode("asked")
        settle(world)
        # Those of a champion that was replaced meanwhile are no reason any more.
        asking = [each for each in world.episodes.values() if world.champion.startswith(each.model)]
        jobless = [each.id for each in asking if each.id not in world.causes]
        assert asking, f"seed {seed}"
        assert not jobless, f"seed {seed}: no job for {jobless}"
        for cause, keys in world.causes.items():
            assert len(keys) == 1, f"seed {seed}: {cause} had {len(keys)} jobs"
        for (key, attempt), times in world.begun.items():
            assert attempt <= SETTINGS.attempts, f"seed {seed}: attempt {attempt} at {key}"
            lost = world.lost[key, attempt]
            assert times <= 1 + lost, f"seed {seed}: {key} ran {times} times"
        assert not world.decided_while_broken, f"seed {seed}"
        assert world.shadowed == set(world.tried), f"seed {seed}: a model that was never tried"
        submitted = {key for key, _ in world.begun}
        decided = {key for keys in world.causes.values() for key in keys}
        assert submitted <= decided, f"seed {seed}: a job that no state knows"
        killed += world.killed
        jobs += len(submitted)
        phases += len(seen)
    assert killed > 500
    assert jobs > 500
    assert phases > 250 * 3


def test_a_job_that_was_decided_is_begun_whenever_the_controller_is_killed() -> None:
    """Each kill on the way from an episode to its job, one after the other."""
    for place in range(12):
        world = World(place, kills=0.0)
        world.episode("asked")
        countdown = [place]

        def killed_there(world: World = world, countdown: list[int] = countdown) -> None:
            countdown[0] -= 1
            if countdown[0] == -1:
                raise KilledError

        world.maybe_killed = killed_there  # type: ignore[method-assign]
        for _ in range(6):
            world.now += 10_000
            world.offset += 1
            world.look()
        assert len(world.begun) == 1, place
        assert sum(world.begun.values()) == 1, place


def test_an_episode_that_is_heard_again_has_no_second_job() -> None:
    world = World(1, kills=0.0)
    world.episode("asked")
    world.look()
    (episode,) = world.episodes.values()
    for _ in range(40):
        world.hear(EpisodeHeard(episode, open=True))
        world.now += DAY // 4
        world.job_goes_on()
        world.look()
    assert len(world.causes[episode.id]) == 1


def test_a_job_leaves_out_what_was_broken() -> None:
    world = World(1, kills=0.0)

    def heard(name: str, *spans: tuple[int, int | None], model: str = "c") -> None:
        said = "blocked" if any(whole is None for _, whole in spans) else None
        found = OpenEpisode(name, model, "data_breakage", 1, "why", said, [*spans])
        world.hear(EpisodeHeard(found, said is not None or name == "remembers"))

    for whole in (None, DAY + HOUR):
        heard("cents", (DAY, whole))
    for whole in (None, DAY + 2 * HOUR):
        heard("remembers", (DAY, whole))
    heard("twice", (DAY, DAY + 2 * HOUR), (2 * DAY, 3 * DAY))
    heard("a closed one", (DAY, DAY))
    heard("silent", (DAY, DAY + HOUR), model="all")
    heard("shift")
    world.episode("asked")
    world.look()
    (spec,) = world.specs.values()
    assert spec.left_out == ((DAY, DAY + 2 * HOUR), (2 * DAY, 3 * DAY))
    heard("remembers")  # more events have said that nothing was
    assert world.state.breakages.keys() == {"cents", "twice", "a closed one"}


def test_a_job_keeps_its_key_when_weir_is_upgraded() -> None:
    """It may have been decided by a version that left nothing out."""
    spec = JobSpec("e", "c", "f", "a", {"events/0": 3}, 1, None, 7, True)
    assert spec.key == "79e6f9dace384c89"
    assert spec.key != changed(spec, left_out=((1, 2),)).key
