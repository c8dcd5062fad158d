"""What the exactly-once loop says of its time."""

from collections import Counter
from collections.abc import Callable

from loop_world import World, running, wait
from running_sum import RunningSum

from streams.loop.stage_clock import StageClock


def test_the_loop_names_all_that_it_does(kafka: str, make_topics: Callable[..., list[str]]) -> None:
    world = World(kafka, make_topics)
    task = RunningSum(world.answers)
    loop = world.loop(task, max_batch=100)
    told: Counter[str] = Counter()
    loop._stages = StageClock(lambda stage, seconds: told.update({stage: seconds}))
    world.send(500)
    with running(loop):
        wait(lambda: task.committed_events == 500)
        # Nothing comes any more, and that is told of, too.
        waited = told["wait"]
        wait(lambda: told["wait"] > waited)
    assert set(told) == {"wait", "consume", "merge", "commit_wait", "upkeep", "restore"}
    assert min(told.values()) > 0
