"""A world for the controller's pure function: jobs, registry, control topic; and kills anywhere.

Everything that is kept survives a kill; what `step` returned and nobody kept does not.
"""

from collections import defaultdict
from random import Random

from monitoring.retraining.events import (
    Cancel,
    Command,
    EpisodeHeard,
    Event,
    Looked,
    Material,
    Submit,
    TakeAway,
    TryOut,
    VerdictHeard,
)
from monitoring.retraining.jobs.job import JobSpec, JobState
from monitoring.retraining.settings import RetrainingSettings
from monitoring.retraining.state import (
    DECODE_STATE,
    ENCODE_STATE,
    Cause,
    ControllerState,
    OpenEpisode,
    TrainedModel,
)
from monitoring.retraining.step import next_cause, step

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SETTINGS = RetrainingSettings(cooldown="6h", per_day=2, job_timeout="5h", trial="4d", every="7d")


class KilledError(Exception):
    """The controller is killed here."""


class World:
    """What the controller sees and does. Each deed of the world takes some minutes.

    Args:
        kills: how likely it is killed at each step of its way.
    """

    def __init__(self, seed: int, kills: float) -> None:
        self.random, self.kills = Random(seed), kills
        self.now = DAY
        self.kept = ENCODE_STATE(ControllerState())
        self.champion = "c" * 64
        self.offset = 0
        self.labels = 5_000
        self.jobs: dict[tuple[str, int], JobState] = {}
        self.specs: dict[str, JobSpec] = {}
        self.begun: dict[tuple[str, int], int] = defaultdict(int)
        self.lost: dict[tuple[str, int], int] = defaultdict(int)
        self.registry: dict[str, TrainedModel] = {}
        self.candidates: dict[str, str] = {}
        self.left: set[str] = set()
        self.tried: dict[str, str] = {}
        self.shadowed: set[str] = set()
        self.episodes: dict[str, OpenEpisode] = {}
        self.asked: Cause | None = None
        self.paused, self.said = False, 0
        self.unheard: list[Event] = []
        self.killed = 0
        self.decided_while_broken: list[str] = []
        self.causes: dict[str, set[str]] = defaultdict(set)

    @property
    def state(self) -> ControllerState:
        return DECODE_STATE(self.kept)

    def maybe_killed(self) -> None:
        if self.random.random() < self.kills:
            self.killed += 1
            raise KilledError

    def handle(self, event: Event) -> None:
        """The controller hears an event; killed, it hears it again unless it had noted so."""
        self.maybe_killed()
        before = self.state
        after, commands = step(before, event, self.now, SETTINGS)
        self.maybe_killed()
        self.kept = ENCODE_STATE(after)
        if after.job is not None and (before.job is None or after.job.key != before.job.key):
            self.causes[after.job.cause.id].add(after.job.key)
            if any(each.retraining == "blocked" for each in before.episodes.values()):
                self.decided_while_broken.append(after.job.key)
        if after.phase == "shadow" and after.job is not None:
            self.shadowed.add(after.job.candidate)
        for command in commands:
            self.maybe_killed()
            self.carry_out(command)
        self.maybe_killed()

    def hear(self, event: Event) -> None:
        """An event of a topic: at least once."""
        self.unheard.append(event)
        try:
            while self.unheard:
                self.handle(self.unheard[0])
                self.unheard.pop(0)
        except KilledError:
            pass

    def look(self) -> None:
        """The controller looks; what it would have done is done again at its next look."""
        try:
            while self.unheard:
                self.handle(self.unheard[0])
                self.unheard.pop(0)
            self.handle(self.found())
        except KilledError:
            pass

    def found(self) -> Looked:
        state = self.state
        job = state.job
        cause = next_cause(state, self.champion, self.now, SETTINGS)
        return Looked(
            champion=self.champion,
            paused=self.paused,
            asked=self.asked,
            said=self.said,
            job=None if job is None else self.jobs.get((job.key, job.attempt), "unknown"),
            model=None if job is None else self.registry.get(job.key),
            candidates=dict(self.candidates),
            left=frozenset(self.left),
            material=None if cause is None else self.material(cause),
        )

    def material(self, cause: Cause) -> Material:
        """It grows all the time: asked again, another one."""
        spec = JobSpec(
            cause=cause.id,
            champion=self.champion,
            feature_schema="f",
            archive="somewhere",
            until={"events/0": self.offset},
            start=None,
            stop=None,
            label_delay=DAY,
            unlabelled_legitimate=True,
        )
        return Material(self.labels, self.labels // 100, spec)

    def carry_out(self, command: Command) -> None:
        match command:
            case Submit(key, spec, attempt):
                others = [
                    other
                    for (other, _), state in self.jobs.items()
                    if state == "running" and other != key
                ]
                assert not others, f"two jobs at once: {key} beside {others}"
                self.specs[key] = spec
                if (key, attempt) not in self.jobs:
                    self.jobs[key, attempt] = "running"
                    self.begun[key, attempt] += 1
            case Cancel(key):
                for each, state in self.jobs.items():
                    if each[0] == key and state == "running":
                        self.jobs[each] = "ended"
            case TryOut(candidate, model, _):
                assert candidate not in self.left, "it was taken away, and comes again"
                assert model in self.registry.values()
                assert self.tried.setdefault(candidate, model.package) == model.package
                self.candidates[candidate] = model.package
            case TakeAway(candidate, _, _):
                self.candidates.pop(candidate, None)
                self.left.add(candidate)

    def job_goes_on(self) -> None:
        """A job that runs ends well, fails, is lost with its machine, or goes on."""
        for (key, attempt), state in list(self.jobs.items()):
            if state != "running":
                continue
            match self.random.choice(["well", "well", "fails", "lost", "on", "same"]):
                case "well":
                    self.registry[key] = TrainedModel(len(self.registry) + 2, key * 4)
                    self.jobs[key, attempt] = "ended"
                case "same":
                    self.registry[key] = TrainedModel(1, self.specs[key].champion)
                    self.jobs[key, attempt] = "ended"
                case "fails":
                    self.jobs[key, attempt] = "ended"
                case "lost":
                    del self.jobs[key, attempt]
                    self.lost[key, attempt] += 1

    def trial_goes_on(self) -> None:
        """A candidate is found better and promoted, found worse, or taken away by somebody."""
        for name, package in list(self.candidates.items()):
            match self.random.choice(["promoted", "worse", "taken", "on", "on"]):
                case "promoted":
                    self.champion = package
                case "worse":
                    self.hear(VerdictHeard(name, package, "worse"))
                case "taken":
                    del self.candidates[name]
                    self.left.add(name)
                case "on":
                    self.hear(VerdictHeard(name, package, "inconclusive"))

    def episode(self, kind: str) -> None:
        name = f"e{len(self.episodes) + self.random.randrange(1_000_000)}"
        found = OpenEpisode(
            name,
            self.champion[:12] if kind == "asked" else "all",
            kind,
            self.now,
            f"{kind} at {self.now}",
            "asked" if kind == "asked" else "blocked",
        )
        self.episodes[name] = found
        self.hear(EpisodeHeard(found, open=True))

    def end_episode(self, name: str) -> None:
        self.hear(EpisodeHeard(self.episodes.pop(name), open=False))

    def person(self) -> None:
        self.said = self.now
        if self.random.random() < 0.5:
            self.paused = not self.paused
        else:
            self.asked = Cause("person", f"asked-{self.now}", "somebody said so")

    def happens(self) -> None:
        """Something, anything; time passes."""
        self.now += self.random.randrange(1, 90) * MINUTE
        self.offset += self.random.randrange(0, 50)
        deed = self.random.random()
        if deed < 0.05:
            self.episode("asked")
        elif deed < 0.08:
            self.episode("broken")
        elif deed < 0.14 and self.episodes:
            self.end_episode(self.random.choice(list(self.episodes)))
        elif deed < 0.17 and self.episodes:
            again = self.random.choice(list(self.episodes.values()))
            self.hear(EpisodeHeard(again, open=True))
        elif deed < 0.20:
            self.person()
        elif deed < 0.23:
            self.labels = self.random.choice([0, 500, 5_000])
        elif deed < 0.40:
            self.job_goes_on()
        elif deed < 0.48:
            self.trial_goes_on()
        else:
            self.look()
