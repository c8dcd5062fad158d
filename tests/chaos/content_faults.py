"""Faults of what is read and declared: records, clocks, snapshots and settings."""

import signal
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.chaos import configuration, snapshot_damage
from tests.chaos.scorer_faults import kill_scorer
from tests.chaos.stage import NotNowError, Stage
from tests.raw_producer import produce_unreadable

_CHANGED = "mean_3d"
_SNAPSHOTS = configuration.TOPICS["snapshots"]
_UNUSUAL_EVENTS = 1_000
_UNUSUAL_S = 30.0
_REFUSED_S = 60.0


def clock_jump(stage: Stage) -> None:
    """The scorers' clock is hours wrong for a while, ahead or behind, while partitions lag."""
    hours = float(stage.rng.uniform(1.0, 48.0)) * (1 if stage.rng.random() < 0.7 else -1)
    if not stage.feeder.is_alive():
        raise NotNowError
    stage.feeder.lagging = True
    stage.pause(0.5)
    stage.clock.jump(hours * 3_600)
    stage.pause(1.0)
    stage.feeder.lagging = False
    stage.pause(1.0)
    stage.clock.jump(0.0)


def lagging_partitions(stage: Stage) -> None:
    """Half of the partitions get nothing for a while, then all of it: the others wait."""
    if not stage.feeder.is_alive():
        raise NotNowError
    stage.feeder.lagging = True
    stage.pause(float(stage.rng.uniform(1.0, 4.0)))
    stage.feeder.lagging = False


def changed_meaning(stage: Stage) -> None:
    """A start with a feature that means something else than the model learned: it is refused."""
    features = [
        each | {"window": "2d"} if each["name"] == _CHANGED else each
        for each in stage.settings["features"]
    ]
    path = stage.folder / "changed.toml"
    configuration.write(path, stage.settings | {"features": features})
    scorer = stage.scorers.start(path)
    ended = stage.until(lambda: scorer.process.poll() is not None, _REFUSED_S)
    said = scorer.last_words()
    if not ended or scorer.process.returncode not in (1, 2) or f"{_CHANGED!r}" not in said:
        code = scorer.process.returncode
        stage.found.add("changed feature not refused", f"{scorer.log}: exit code {code}: {said}")
        scorer.send(signal.SIGKILL)


def more_features(stage: Stage) -> None:
    """A restart with other features declared beside the model's: state of them is rebuilt."""
    plain, wider = stage.folder / "weir.toml", stage.folder / "wider.toml"
    features = stage.settings["features"] + configuration.MORE_FEATURES
    configuration.write(wider, stage.settings | {"features": features})
    stage.scorers.config = plain if stage.scorers.config == wider else wider
    for scorer in stage.scorers.awake:
        scorer.send(signal.SIGTERM)
    stage.answers_again()


def garbage_in_snapshots(stage: Stage) -> None:
    """Snapshots are written over, and the scorer that could go on without them is killed."""
    snapshot_damage.write_garbage(stage.cluster.bootstrap_servers, _SNAPSHOTS, stage.rng)
    kill_scorer(stage)
    stage.answers_again()  # all input is read again: who is killed again before has done nothing


def snapshots_gone(stage: Stage) -> None:
    """All snapshots are deleted, and the scorer that could go on without them is killed."""
    snapshot_damage.remove_records(stage.cluster.bootstrap_servers, _SNAPSHOTS)
    kill_scorer(stage)
    stage.answers_again()


def unreadable_batches(stage: Stage) -> None:
    """Batches that can't be unpacked, in the midst of good records: two in a row, and a label's."""
    events, labels = (configuration.TOPICS[role] for role in ("events", "labels"))
    partitions = stage.rng.integers(configuration.PARTITIONS, size=2).tolist()
    try:
        for topic, partition in zip(
            (events, events, labels), (partitions[0], *partitions), strict=True
        ):
            produce_unreadable(stage.cluster.bootstrap_servers, topic, partition)
    except (OSError, RuntimeError, struct.error) as error:
        raise NotNowError from error  # it may have been sent: the topic says so to the checker
    stage.answers_again()


def unusual(**changes: Any) -> Callable[[Stage], None]:
    """The next thousand events or so are unusual."""

    def fault(stage: Stage) -> None:
        feeder = stage.feeder
        until = feeder.sent + _UNUSUAL_EVENTS
        feeder.habits = replace(feeder.usual, **changes)
        stage.until(lambda: feeder.sent >= until or not feeder.is_alive(), _UNUSUAL_S)
        feeder.habits = feeder.usual
        if feeder.sent < until:
            raise NotNowError

    return fault
