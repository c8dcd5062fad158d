"""Which kills a schedule has, and when: drawn from a seed."""

from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

Point = Literal[
    "starting",
    "warn",
    "kept",
    "decided",
    "begun",
    "running",
    "training",
    "registering",
    "registered",
    "shadow",
    "named",
    "cooldown",
]
"""What has just happened when a kill comes, in the order of a job's life: ``kept`` that the table's
topic has the decision, ``decided`` that the topic of retraining has it, ``begun`` that the job's
process is there; ``registering`` that the registry has the model, and may not have the job's key
yet; ``shadow`` that the table's topic says so, ``named`` that the control topic has the candidate.
"""
POINTS: tuple[Point, ...] = get_args(Point)
Victim = Literal["controller", "job", "both"]
_LASTS_S: dict[Point, float] = {"starting": 4.0, "training": 5.0}
"""How long what a point names goes on: the kill comes at a random moment of that."""
_MOMENT_S = 0.3
_WITH_JOB: tuple[Point, ...] = ("begun", "running", "training", "registering")
_KILLS = (2, 4)


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        after_s: how long after its point was reached.
        all_controllers: whether all end, or the one that has run longest.
        gently: by SIGTERM, as a deployment does, and not by SIGKILL; never the job.
        away_s: until another controller is started in the place of one that was ended.
    """

    point: Point
    victim: Victim
    after_s: float
    all_controllers: bool
    gently: bool
    away_s: float


@dataclass(frozen=True)
class Plan:
    """One schedule.

    Attributes:
        controllers: wanted at a time.
        broken: data are broken at first, which blocks retraining for a while.
        withdrawn: the candidate is taken away at last, so that its job is over.
    """

    controllers: int
    broken: bool
    withdrawn: bool
    kills: tuple[Kill, ...]


def draw(seed: int, number: int) -> Plan:
    """The plan of one schedule; of as many schedules as there are points, each has one at least."""
    random = Random(f"{seed}/{number}")
    points = {POINTS[number % len(POINTS)], *random.sample(POINTS, random.randint(*_KILLS) - 1)}
    return Plan(
        controllers=random.choice((1, 1, 2)),
        broken="warn" in points or random.random() < 0.25,
        withdrawn="cooldown" in points or random.random() < 0.25,
        kills=tuple(_kill(random, point) for point in POINTS if point in points),
    )


def _kill(random: Random, point: Point) -> Kill:
    victims: tuple[Victim, ...] = ("controller",)
    if point in _WITH_JOB:
        victims = ("controller", "job", "both")
    # Half of them at once: then what follows the point has hardly begun.
    soon = point not in _LASTS_S and random.random() < 0.5
    return Kill(
        point=point,
        victim=random.choice(victims),
        after_s=0.0 if soon else random.uniform(0.0, _LASTS_S.get(point, _MOMENT_S)),
        all_controllers=random.random() < 0.6,
        gently=random.random() < 0.2,
        away_s=random.choice((0.0, random.uniform(0.0, 3.0))),
    )
