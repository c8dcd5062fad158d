"""What the retraining controller does next: a pure function of what it knows and what happens.

    ok -> warn -> triggered -> running -> shadow -> cooldown -> ok

Whoever calls `step` keeps the new state for good before it carries out a command. So a controller
that is killed anywhere in between finds, when it looks again, either that nothing was decided or
which job was: commands that are not known to be carried out are given again at each look, and each
may be given twice. A cause is noted as handled in the same state that decides its job: it never has
another one.
"""

from monitoring.episodes.episode import WHOLE_STREAM
from monitoring.retraining.events import (
    Cancel,
    Command,
    EpisodeHeard,
    Event,
    Looked,
    Submit,
    TakeAway,
    TryOut,
    VerdictHeard,
)
from monitoring.retraining.settings import RetrainingSettings
from monitoring.retraining.state import (
    Cause,
    ControllerState,
    Job,
    OpenEpisode,
    Outcome,
    Phase,
    changed,
)

_DAY_MS = 86_400_000
_REMEMBERED = 1_000
"""Causes; an episode that is said again after so many others was over long ago."""
_WORSE = "worse"
_EPISODES = 100
"""Episodes of broken data."""


def step(
    state: ControllerState, event: Event, now: int, settings: RetrainingSettings
) -> tuple[ControllerState, list[Command]]:
    """The state after an event, and what is to be done once that state is kept.

    Args:
        now: UTC ms; all deadlines go by it.
    """
    match event:
        case EpisodeHeard():
            return _hear_episode(state, event), []
        case VerdictHeard():
            return _hear_verdict(state, event), []
        case Looked():
            return _look(hear_people(state, event, now), event, now, settings)


def next_cause(
    state: ControllerState, champion: str | None, now: int, settings: RetrainingSettings
) -> Cause | None:
    """Why a model should be trained now, if nothing stands against it; None for no reason.

    A person's word comes first, then the episode that was open first, then the schedule.
    """
    if champion is None or _in_flight(state):
        return None
    if state.asked is not None:
        return state.asked
    if state.paused or (state.phase == "cooldown" and now < state.since + settings.cooldown):
        return None
    asking = [
        each
        for each in state.episodes.values()
        if each.retraining == "asked"
        and champion.startswith(each.model)
        and each.id not in state.handled
    ]
    if asking:
        first = min(asking, key=lambda each: (each.began, each.id))
        return Cause("episode", first.id, first.words, first.began)
    due = state.scheduled + settings.every
    if settings.every and state.scheduled and now >= due:
        return Cause("schedule", f"every-{settings.every}-{due}", "it is time, by the schedule")
    return None


def _hear_episode(state: ControllerState, heard: EpisodeHeard) -> ControllerState:
    episodes = {key: each for key, each in state.episodes.items() if key != heard.episode.id}
    if heard.open and heard.episode.retraining is not None:
        episodes[heard.episode.id] = heard.episode
    return changed(state, episodes=episodes, breakages=_breakages(state, heard.episode))


def _breakages(state: ControllerState, heard: OpenEpisode) -> dict[str, list[tuple[int, int]]]:
    """When features were broken, of the latest episodes: whoever is silent breaks none."""
    others = [each for each in state.breakages.items() if each[0] != heard.id]
    # One that is not over keeps jobs from being decided.
    over = [(began, whole) for began, whole in heard.breakages if whole is not None]
    if not over or heard.model == WHOLE_STREAM:
        return dict(others)
    return dict([*others[1 - _EPISODES :], (heard.id, over)])


def _hear_verdict(state: ControllerState, heard: VerdictHeard) -> ControllerState:
    job = state.job
    if (
        job is None
        or job.outcome is not None
        or job.model is None
        or (heard.candidate, heard.package) != (job.candidate, job.model.package)
    ):
        return state
    return changed(state, job=changed(job, verdict=heard.verdict))


def hear_people(state: ControllerState, looked: Looked, now: int) -> ControllerState:
    """The state once it has heard what people say; `step` of a look begins with that."""
    asked, scheduled = state.asked, state.scheduled or now
    if looked.said > state.answered:
        asked = looked.asked or asked
    if asked is not None and asked.id in state.handled:
        asked = None
    return changed(
        state,
        paused=looked.paused,
        asked=asked,
        answered=max(state.answered, looked.said),
        scheduled=scheduled,
        decided=tuple(each for each in state.decided if each > now - _DAY_MS),
    )


def _look(
    state: ControllerState, looked: Looked, now: int, settings: RetrainingSettings
) -> tuple[ControllerState, list[Command]]:
    job = state.job
    if job is None or job.outcome is not None:
        return _rest(state, looked, now, settings)
    if state.phase in ("triggered", "running"):
        return _train(state, job, looked, now, settings)
    return _try(state, job, looked, now, settings)


def _rest(
    state: ControllerState, looked: Looked, now: int, settings: RetrainingSettings
) -> tuple[ControllerState, list[Command]]:
    """No job is under way: decide one, if there is a cause and nothing stands against it."""
    commands = _tidy(state, looked)
    cause, material = next_cause(state, looked.champion, now, settings), looked.material
    if cause is None:
        return changed(_quiet(state, now, settings), waits_for=""), commands
    if hindrance := _hindrance(state, cause, looked, now, settings):
        return changed(_quiet(state, now, settings), waits_for=hindrance), commands
    assert material is not None
    start = material.spec.start or 0
    left_out = tuple(each for each in state.left_out if each[1] > start)
    spec = changed(material.spec, left_out=left_out)
    job = Job(spec.key, cause, spec, now)
    decided = changed(
        _phase(state, "triggered", now),
        job=job,
        handled=(*state.handled, cause.id)[-_REMEMBERED:],
        decided=(*state.decided, now),
        asked=None if cause.kind == "person" else state.asked,
        scheduled=now if cause.kind == "schedule" else state.scheduled,
        waits_for="",
    )
    return decided, [*commands, Submit(job.key, job.spec, job.attempt)]


def _hindrance(
    state: ControllerState, cause: Cause, looked: Looked, now: int, settings: RetrainingSettings
) -> str:
    """What stands against a job for a cause, in words; empty for nothing.

    A person's word counts more than the budget and the minimum of labels; nothing counts more than
    broken data, which a model would learn.
    """
    if looked.job == "running":
        return "the job before is still being ended"
    broken = [each for each in state.episodes.values() if each.retraining == "blocked"]
    if broken:
        first = min(broken, key=lambda each: (each.began, each.id))
        return f"data are broken: {first.words} (episode {first.id})"
    by_itself = cause.kind != "person"
    if by_itself and len(state.decided) >= settings.per_day:
        return f"{len(state.decided)} jobs in 24 hours are all that retraining.per_day allows"
    material = looked.material
    if material is None or material.spec.cause != cause.id:
        return looked.hindrance or "the archive is yet to be asked what could be trained on"
    if by_itself and material.labels < settings.min_labels:
        return (
            f"{material.labels:,} mature labels of the {settings.min_labels:,} that "
            "retraining.min_labels asks for"
        )
    if by_itself and material.frauds < settings.min_frauds:
        return (
            f"{material.frauds:,} mature frauds of the {settings.min_frauds:,} that "
            "retraining.min_frauds asks for"
        )
    return ""


def _train(
    state: ControllerState, job: Job, looked: Looked, now: int, settings: RetrainingSettings
) -> tuple[ControllerState, list[Command]]:
    """A job is decided: see that it runs, until the registry has its model."""
    if looked.model is not None:
        job = changed(job, model=looked.model)
        if looked.model.package == job.spec.champion or looked.model.package == looked.champion:
            return _over(state, job, "no other model", now), []
        tried = _phase(changed(state, job=changed(job, tried_since=now)), "shadow", now)
        return tried, [_try_out(job)]
    if job.submitted is not None and now >= job.submitted + settings.job_timeout:
        return _over(state, job, "timed out", now), [Cancel(job.key)]
    if looked.job == "ended":
        # The registry was asked later, and has nothing of it.
        if job.attempt >= settings.attempts:
            return _over(state, job, "failed", now), []
        job = changed(job, attempt=job.attempt + 1)
    elif looked.job == "running":
        running = changed(job, submitted=job.submitted or now)
        return _phase(changed(state, job=running), "running", now), []
    job = changed(job, submitted=job.submitted or now)
    return changed(state, job=job), [Submit(job.key, job.spec, job.attempt)]


def _try(
    state: ControllerState, job: Job, looked: Looked, now: int, settings: RetrainingSettings
) -> tuple[ControllerState, list[Command]]:
    """Its model is in the shadow: from there gates and people go on; see that it ends."""
    assert job.model is not None
    assert job.tried_since is not None
    outcome: Outcome | None = None
    if looked.champion == job.model.package:
        outcome = "promoted"
    elif job.candidate in looked.left:
        outcome = "withdrawn"
    elif job.verdict == _WORSE:
        outcome = "worse"
    elif now >= job.tried_since + settings.trial:
        outcome = "not promoted in time"
    if outcome is not None:
        over = _over(state, job, outcome, now)
        return over, _tidy(over, looked)
    if job.candidate not in looked.candidates:
        return state, [_try_out(job)]
    return state, []


def _try_out(job: Job) -> TryOut:
    assert job.model is not None
    return TryOut(job.candidate, job.model, f"trained by job {job.key}: {job.cause.why}")


def _tidy(state: ControllerState, looked: Looked) -> list[Command]:
    """What a job that is over must not leave behind."""
    job = state.job
    if job is None or job.outcome is None:
        return []
    if looked.job == "running":
        return [Cancel(job.key)]
    if job.model is not None and job.candidate in looked.candidates:
        return [TakeAway(job.candidate, job.model, f"its trial is over: {job.outcome}")]
    return []


def _over(state: ControllerState, job: Job, outcome: Outcome, now: int) -> ControllerState:
    ended = changed(job, outcome=outcome, ended=now)
    return _phase(changed(state, job=ended), "cooldown", now)


def _quiet(state: ControllerState, now: int, settings: RetrainingSettings) -> ControllerState:
    """The phase in which no job is under way."""
    if state.phase == "cooldown" and now < state.since + settings.cooldown:
        return state
    return _phase(state, "warn" if state.episodes else "ok", now)


def _phase(state: ControllerState, phase: Phase, now: int) -> ControllerState:
    return state if state.phase == phase else changed(state, phase=phase, since=now)


def _in_flight(state: ControllerState) -> bool:
    return state.job is not None and state.job.outcome is None
