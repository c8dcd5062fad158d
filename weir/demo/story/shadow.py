"""The story of a candidate: in the shadow, as a canary, and as champion.

(a) The champion is tried in the shadow as its own candidate: there must be no verdict.
(b) A candidate whose thresholds were set for a third of all events becomes a canary: it must be
    rolled back at its first step.
(c) The champion knows nothing of some features, and a candidate does; labels come days late. It
    must be found better in the shadow, step up as a canary, pass all gates and become champion.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from inference.canary.gate_record import GateRecord
from inference.gates.record import ComparisonRecord
from weir.demo.stage import Stage

_PROCESSES = ("score", "shadow", "judge", "canary")
_ENDS = ("done", "roll back", "void")
_SHARE = 1 / 8
"""Of the rate at which this machine scores: so slowly, a keeper of any machine sees days go by."""


@dataclass(frozen=True)
class Plot:
    """What the story is about.

    Attributes:
        learned, stream: files of events: what models learn from, and what is streamed.
        blind: settings without the features that the champion knows nothing of.
        strict: settings of who sets thresholds for a third of all events.
        learn: options of `weir train` that say from which time it learns.
        begin: the first time of the stream that the models did not learn from: candidates are
            tried from there on.
        judged: up to which time candidates are in the shadow alone.
        rate: the most events per second after that, so that a canary's keeper sees days go by.
    """

    learned: Path
    stream: Path
    blind: Path
    strict: Path
    learn: tuple[str, ...]
    begin: str
    judged: str
    rate: int


def tell(stage: Stage, plot: Plot, told: Callable[[str], None]) -> bool:
    """Tell it; whether all three ended as they have to.

    Raises:
        DemoError: a command or a process failed, or something did not come.
        KeyboardInterrupt: the story is to end.
    """
    _train(stage, plot, told)
    for name in _PROCESSES:
        stage.start(name)
    stage.until("the scorer", lambda: stage.metric("score", "weir_model_info"))
    begun = monotonic()
    before = _play(stage, plot, "--to", plot.begin)
    stage.until("the scores", lambda: stage.metric("score", "weir_events_total") >= before)
    rate = min(plot.rate, round(before / (monotonic() - begun) * _SHARE))
    stage.until("the shadow", lambda: not stage.metric("shadow", "weir_lag_records"))
    told(f"{before:,} events up to {plot.begin} are scored: the windows know everybody")
    stage.weir("shadow", "add", "1", "--name", "same")
    stage.weir("shadow", "add", "2", "--name", "better")
    answering = "weir_shadow_candidate_answering"
    stage.until("the candidates", lambda: stage.metric("shadow", answering) == 2)
    told("in the shadow: the champion as its own candidate, and version 2")

    sent = _play(stage, plot, "--from", plot.begin, "--to", plot.judged)
    told(f"{sent:,} events up to {plot.judged} are sent, and labels when they are due")
    same, better = _judged(stage, sent)
    no_verdict = _tell_of_same(same, told)
    superior = _tell_of_better(better, told)
    rest = ("replay", str(plot.stream), "--from", plot.judged, "--rate", str(rate))
    with stage.playing(*rest) as over:
        rolled_back = _broken_canary(stage, told)
        stepped = _good_canary(stage, over, told)
        if not (superior and stepped):
            return False
        gates = stage.weir("models", "promote", "2", "--by", "ada")["gates"]
        told("(c) version 2 is champion; gates: " + ", ".join(f"{g} {s}" for g, s in gates.items()))
    return no_verdict and rolled_back


def _train(stage: Stage, plot: Plot, told: Callable[[str], None]) -> None:
    learn = ("train", *plot.learn, "--data")
    stage.weir(*learn, str(plot.learned), config=plot.blind)
    told("version 1 is champion; it knows nothing of terminals")
    stage.weir(*learn, str(plot.learned))
    stage.weir(*learn, str(plot.learned), config=plot.strict)
    told("version 2 knows terminals, too; version 3 would have a third of all events reviewed")
    stage.weir("topics")


def _play(stage: Stage, plot: Plot, *span: str) -> int:
    sent: int = stage.weir("replay", str(plot.stream), *span)["events"]
    return sent


def _judged(stage: Stage, sent: int) -> tuple[ComparisonRecord, ComparisonRecord]:
    """What the judge found once it has seen nearly all that was sent."""

    def both() -> list[ComparisonRecord]:
        found = [stage.found(name) for name in ("same", "better")]
        seen = [each for each in found if each and each.found["events"] > 0.99 * sent]
        return seen if len(seen) == len(found) else []

    same, better = stage.until("the judge", both)
    return same, better


def _tell_of_same(same: ComparisonRecord, told: Callable[[str], None]) -> bool:
    cost = same.found["cost"]
    told(
        f"(a) the champion beside itself, {same.found['mature']:,} mature events: "
        f"{same.verdict.value}, ln E = {cost['log_better']:g} and {cost['log_worse']:g}"
    )
    return same.verdict.value == "inconclusive" and cost["log_better"] == cost["log_worse"] == 0


def _tell_of_better(better: ComparisonRecord, told: Callable[[str], None]) -> bool:
    cost, recall = better.found["cost"], better.found["recall"]
    told(
        f"(c) version 2, {better.found['mature']:,} mature events, {recall['events']:,} frauds: "
        f"{better.verdict.value}, ln E = {cost['log_better']:.1f}; saves {cost['mean']:.3f} per "
        f"event; recall {recall['champion']:.3f} to {recall['candidate']:.3f}"
    )
    return better.verdict.value == "better"


def _begin_canary(stage: Stage, version: str) -> tuple[str, float]:
    """The experiment's name, and its first share."""
    said = stage.weir("canary", "start", version, "--by", "ada", "--no-blast-radius")["experiment"]
    return str(said["experiment"]), float(said["arms"][0]["share"])


def _broken_canary(stage: Stage, told: Callable[[str], None]) -> bool:
    experiment, first = _begin_canary(stage, "3")

    def ended() -> dict[str, str] | None:
        last: dict[str, str] | None = stage.weir("canary", "status").get("ended")
        return last

    note = stage.until("the roll-back", ended)["note"]
    shares = {each.arms[0].share for each in stage.kept(experiment)}
    told(f"(b) version 3 at {max(shares):.0%} of the keys: {note}")
    return shares == {first} and note.startswith("rolled back")


def _good_canary(stage: Stage, over: Callable[[], bool], told: Callable[[str], None]) -> bool:
    experiment, _ = _begin_canary(stage, "2")
    shown = 0

    def deeds() -> list[GateRecord]:
        kinds = ("step", *_ENDS)
        return [each for each in stage.kept(experiment) if each.deed in kinds]

    def ended() -> bool:
        nonlocal shown
        for each in deeds()[shown:]:
            told(f"(c) canary at {each.arms[0].share:.0%} of the keys: {each.deed}: {each.why}")
            shown += 1
        return over() or any(each.deed in _ENDS for each in deeds())

    stage.until("the canary's last step", ended)
    done = any(each.deed == "done" for each in deeds())
    if not done:
        told("(c) version 2 has not come to its last step: the stream is over, or see above")
    return done
