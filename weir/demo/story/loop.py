"""The story of the loop: a model that fraud has outrun is trained anew, and proves itself.

A producer sends cents for euros for a day: the data are broken, and no model may learn from them.
Then thieves do something new, and the champion costs more than it did: a job trains a model on the
archive, which is a candidate of the shadow, is found better, steps up as a canary and becomes
champion, and nobody has said a word. On the way the monitor, the controller and the job are killed.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from weir.config.errors import DemoError
from weir.demo.stage import Stage

Found = TypeVar("Found")

_PROCESSES = ("score", "shadow", "judge", "canary", "monitor", "archive", "controller")
_READERS = ("shadow", "monitor", "archive")
_LATE_S = 3 * 3_600
"""Before the end of a day each partition has had an event."""
_LOOKS_S = 4.0
"""In which judge, keeper and controller look, since they do so now and then."""
_RECOVERED = 0.95
_MEASURED_DAYS = 3


@dataclass(frozen=True)
class LoopPlot:
    """What the story is about.

    Attributes:
        learned, stream: files of events: what the first models learn from, and what is streamed.
        early, champion: options of `weir train` that say from which time a model learns: one that
            answers while windows fill up, and the champion of the story.
        job_folder: where jobs lie.
        begin, settled, cents, euros, pattern, end: days: where the stream begins, from when on the
            champion answers, when amounts become cents, when they are euros again, from when on
            thieves do what is new, and where the stream ends.
    """

    learned: Path
    stream: Path
    early: tuple[str, ...]
    champion: tuple[str, ...]
    job_folder: Path
    begin: date
    settled: date
    cents: date
    euros: date
    pattern: date
    end: date


@dataclass(frozen=True)
class LoopEnding:
    """How it ended.

    Attributes:
        recovered: average precision of the new champion's first days, by that of the days before
            fraud was new.
        as_it_has_to: whether that is enough, and all came as it has to on the way.
    """

    recovered: float
    as_it_has_to: bool


def tell(stage: Stage, plot: LoopPlot, told: Callable[[str], None]) -> LoopEnding:
    """Tell it.

    Raises:
        DemoError: a command or a process failed, or something did not come.
        KeyboardInterrupt: the story is to end.
    """
    return _Loop(stage, plot, told).tell()


class _Loop:
    def __init__(self, stage: Stage, plot: LoopPlot, told: Callable[[str], None]) -> None:
        self._stage, self._plot, self._told = stage, plot, told
        self._day, self._sent = plot.begin, 0

    def tell(self) -> LoopEnding:
        plot, told = self._plot, self._told
        self._begin()
        self._play(plot.cents)
        before = self._precision("2", plot.settled, plot.cents)
        told(f"quiet up to {plot.cents}: average precision {before:.3f}")
        no_job = self._broken_data()
        job = self._new_pattern()
        champion_since = self._candidate(job)
        after = self._days_until(
            "labels of days under the new champion", lambda: self._measured("3", champion_since)
        )
        told(
            f"average precision {after:.3f} from {champion_since} on: {after / before:.0%} of what "
            "it was before fraud was new"
        )
        jobs = self._jobs()
        told(
            "jobs that were decided: "
            + "; ".join(
                f"{each['key']} because of {each['cause']['id']}: {each['outcome']}"
                for each in jobs
            )
        )
        one = [each["cause"]["kind"] for each in jobs] == ["episode"]
        promoted = jobs[0]["outcome"] == "promoted"
        well = no_job and one and promoted and after >= _RECOVERED * before
        return LoopEnding(after / before, well)

    def _begin(self) -> None:
        stage, plot, told = self._stage, self._plot, self._told
        for learn in (plot.early, plot.champion):
            stage.weir("train", *learn, "--data", str(plot.learned))
        stage.weir("topics")
        for name in _PROCESSES:
            stage.start(name)
        stage.until("the scorer", lambda: stage.metric("score", "weir_model_info"))
        self._play(plot.settled, at_once=True)
        waive = ("--by", "ada", "--waive", "the story begins with it")
        stage.weir("models", "promote", "2", *waive)
        told(f"{self._sent:,} events up to {plot.settled} are scored; version 2 is champion")

    def _broken_data(self) -> bool:
        plot, told = self._plot, self._told
        self._play(plot.euros)
        broken = [each for each in self._episodes("data_breakage") if each["state"] == "open"]
        for each in broken:
            told(f"a producer sends cents for euros: {each['features'][0]['words']}")
        blocked = [each["retraining"] for each in broken] == ["blocked"]
        self._play(plot.pattern)
        still = any(
            each["state"] == "open" and each["retraining"] == "blocked"
            for each in self._episodes("data_breakage")
        )
        jobs = self._jobs()
        now = "data are still broken" if still else "nothing is broken any more"
        told(f"euros again: {now}; {len(jobs)} jobs")
        return blocked and not still and not jobs

    def _new_pattern(self) -> dict[str, Any]:
        """Until a job has led to a model; the job."""
        stage, plot, told = self._stage, self._plot, self._told
        told(f"from {plot.pattern} on, thieves do something new")
        self._play(plot.pattern + timedelta(days=2))
        stage.kill("monitor")
        stage.start("monitor")
        told("the monitor was killed, and starts again")
        loss = self._days_until("a loss of performance", self._loss)
        told(f"labels up to {self._day}: {_words(loss)}")

        def job() -> dict[str, Any] | None:
            found = self._jobs()
            return found[-1] if found else None

        decided = self._days_until("a job", job)
        process = plot.job_folder / decided["key"] / "process"
        stage.until("the job's process", process.exists)
        stage.kill("controller")
        with suppress(ProcessLookupError):
            os.killpg(int(process.read_text()), signal.SIGKILL)
        told(f"job {decided['key']} runs; it is killed, and the controller as well")
        stage.start("controller")

        def trained() -> dict[str, Any] | None:
            found = job()
            return found if found and found["model"] and found["tried_since"] else None

        done: dict[str, Any] = stage.until("the job's model", trained)
        told(
            f"attempt {done['attempt']} has trained version {done['model']['version']}: it is "
            f"candidate {_name(done)} of the shadow"
        )
        return done

    def _candidate(self, job: dict[str, Any]) -> date:
        """Until it is champion; the first whole day on which it answers for all keys."""
        stage, told = self._stage, self._told
        name, since = _name(job), self._day

        def better() -> bool:
            found = stage.found(name)
            return found is not None and found.verdict.value == "better"

        self._days_until("a verdict", better)
        found = stage.found(name)
        assert found is not None
        told(
            f"tried since {since}: after {found.found['mature']:,} mature events it is better, and "
            f"saves {found.found['cost']['mean']:.3f} per event"
        )
        experiment = self._days_until("a canary", self._experiment)
        told(f"the keeper begins canary {experiment}")
        shown = 0

        def champion() -> bool:
            nonlocal shown
            kept = [each for each in stage.kept(experiment) if each.deed not in ("wait", "end")]
            for each in kept[shown:]:
                told(f"canary at {each.arms[0].share:.0%} of the keys: {each.deed}: {each.why}")
            shown = len(kept)
            if any(each.deed in ("roll back", "void", "ask") for each in kept):
                raise DemoError(f"the canary came to no good end: {kept[-1].why}")
            serving = stage.weir("models", "serving")["champion"]
            return bool(serving["model"]["version"] == job["model"]["version"])

        self._days_until("a promotion", champion)
        serving = stage.weir("models", "serving")["champion"]
        told(f"version {serving['model']['version']} is champion: {serving['note']}")
        return self._day

    def _experiment(self) -> str | None:
        running = self._stage.weir("canary", "status").get("experiment")
        return None if running is None else str(running["experiment"])

    def _loss(self) -> dict[str, Any] | None:
        lost = [each for each in self._episodes("performance_loss") if each["state"] == "open"]
        return lost[0] if lost else None

    def _jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self._stage.weir("controller", "status")["jobs"]
        return jobs

    def _episodes(self, kind: str) -> list[dict[str, Any]]:
        """Of the champion and of the data, from when on the champion answers."""
        listed = self._stage.weir("drift", "status", "--all")["episodes"]
        early = self._package("1")[:12]
        return [each for each in listed if each["kind"] == kind and each["model"] != early]

    def _package(self, version: str) -> str:
        return str(self._stage.weir("models", "show", version)["package_id"])

    def _precision(self, version: str, first: date, end: date) -> float:
        """Average precision of the days that are whole, weighted by their frauds."""
        span = ("--from", str(first), "--to", str(end))
        days = self._whole_days(version, *span)
        frauds = sum(each["frauds"] for each in days)
        if not frauds:
            raise DemoError(f"no day between {first} and {end} has all its labels")
        return float(sum(each["average_precision"] * each["frauds"] for each in days) / frauds)

    def _whole_days(self, version: str, *span: str) -> list[dict[str, Any]]:
        model = self._package(version)[:12]
        return [
            each
            for each in self._stage.weir("performance", *span)["days"]
            if each["model"] == model and each["whole"] and each["frauds"]
        ]

    def _measured(self, version: str, since: date) -> float | None:
        days = self._whole_days(version, "--from", str(since))
        if len(days) < _MEASURED_DAYS:
            return None
        return self._precision(version, since, self._day)

    def _days_until(self, what: str, condition: Callable[[], Found | None]) -> Found:
        """Play day after day until something is there; what it is then."""
        while not (found := condition()):
            if self._day >= self._plot.end:
                raise DemoError(f"the stream is over, and waited in vain for {what}")
            self._play(self._day + timedelta(days=1))
        return found

    def _play(self, end: date, *, at_once: bool = False) -> None:
        """Send the stream up to a day, a day at a time, each looked at by all."""
        while self._day < end:
            following = end if at_once else self._day + timedelta(days=1)
            span = ("--from", str(self._day), "--to", str(following))
            sent = self._stage.weir("replay", str(self._plot.stream), *span)["events"]
            self._sent, self._day = self._sent + int(sent), following
            self._caught_up()

    def _caught_up(self) -> None:
        stage = self._stage
        stage.until("the scores", lambda: stage.metric("score", "weir_events_total") >= self._sent)
        looked_at = datetime.combine(self._day, time(), UTC).timestamp() - _LATE_S
        watermark = "weir_monitor_watermark_seconds"
        stage.until("the monitor", lambda: stage.metric("monitor", watermark) >= looked_at)
        for name in _READERS:
            stage.until(f"`weir {name}`", partial(self._has_read, name))
        stage.pause(_LOOKS_S)

    def _has_read(self, name: str) -> bool:
        ready = self._stage.metric(name, "weir_ready") == 1
        return ready and not self._stage.metric(name, "weir_lag_records")


def _name(job: dict[str, Any]) -> str:
    return f"retrained-{job['key'][:8]}"


def _words(episode: dict[str, Any]) -> str:
    return "; ".join(each["words"] for each in episode["figures"])
