"""Reads what stands in the topics of a campaign that has ended, and has all of it checked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import checker, configuration, model, served, transcript
from tests.chaos.arms import ArmsOfKeys
from tests.chaos.commander import Commander
from tests.chaos.report import Report
from tests.chaos.shadow.check import check_shadow, dead_lettered
from tests.chaos.shadow.evidence import check_evidence
from tests.chaos.shadow.transcript import read_shadow_scores
from tests.chaos.violations import Violations
from tests.chaos.watch.check import check_watch
from tests.chaos.world import World

Progress = Callable[[str, float], None]
"""Called with what is going on, and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Given:
    """What the checker must know of a campaign.

    Attributes:
        first_of_last: id of the first event that was sent when all obeyed the last commands.
    """

    commander: Commander
    first_of_last: int
    world: World


def inspect(
    folder: Path,
    bootstrap: str,
    given: Given,
    report: Report,
    found: Violations,
    progress: Progress,
    *,
    repeats: bool,
) -> None:
    """Check all that was answered; what is found stands in the report and the violations.

    Args:
        folder: of the run.
        repeats: whether scorers left out events that came again.
    """
    progress("reading what was asked", 0.0)
    for topic, partition, begins, end in transcript.read_open(bootstrap):
        found.add("transaction left open", f"{topic}[{partition}]: from {begins}, ends at {end}")
    inputs = transcript.read_inputs(bootstrap, repeats)
    progress("reading the scores", 0.2)
    scores = transcript.read_scores(bootstrap, inputs.cards)
    progress("reading the feature log", 0.4)
    log = transcript.read_feature_log(bootstrap, inputs.cards)
    letters = list(transcript.read_topic(bootstrap, configuration.TOPICS["dead_letters"]))
    progress("comparing answers", 0.6)
    checker.check_inputs(inputs, report.delivered, found)
    checker.check_set_and_order(inputs, scores, "scores", found)
    checker.check_set_and_order(inputs, log, "feature log", found)
    checker.check_offsets_in_log(inputs, log, found)
    checker.check_scores(scores, log, found)
    checker.check_dead_letters(inputs, letters, found)
    committed = transcript.read_committed(bootstrap)
    if report.topology == "fused":
        checker.check_committed(inputs, committed, found)
    else:
        checker.check_all_committed(committed, transcript.read_ends(bootstrap), found)
    progress("computing every feature by brute force", 0.7)
    report.compared, report.late = checker.check_features(inputs, log, found)
    progress("asking every model again", 0.9)
    commander = given.commander
    registered = {
        each.name: served.Registered.load(folder / model.PACKAGES / each.name)
        for each in commander.models
    }
    keys = ArmsOfKeys(list(inputs.cards))
    report.served = served.check_served(
        log, registered, commander.policies, commander.given, commander.experiments, keys, found
    )
    report.served.stood_in = sum(sum(part.stood_in) for part in scores)
    report.commands = commander.count
    last = commander.champion.name, commander.policy
    report.by_the_last = served.check_last(log, given.first_of_last, *last, found)
    progress("asking every candidate again", 0.95)
    report.shadow = check_shadow(
        log,
        read_shadow_scores(bootstrap, inputs.cards),
        dead_lettered(letters),
        registered,
        commander.given,
        found,
    )
    report.shadow.gathered = check_evidence(bootstrap, found)
    report.watch = check_watch(bootstrap, log, found)
    report.features = sum(matrix.size for part in log for _, matrix in part.features)
    report.events = sum(checker.without_closing(inputs))
    report.answers = sum(len(part.ids) for part in scores)
    report.rejected, report.repeats = len(inputs.bad), inputs.repeats
    report.labels = sum(map(len, inputs.labels))
