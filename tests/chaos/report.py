"""What a campaign found, for people and for programs."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.served import Served
from tests.chaos.shadow.check import ShadowReport
from tests.chaos.watch.check import WatchReport


@dataclass
class Report:
    """The result of one campaign.

    Attributes:
        plan: kinds of faults and how many of each were injected.
        skipped: kinds whose turn came when there was nothing to hit.
        events, answers: records to be answered, and answers found.
        compared: events whose features all agree with brute force or are among the violations.
        late: events flagged as late, whose windows nobody promises.
        rejected: malformed records.
        repeats: records that were left out, as repeats of events.
        commands: records on the control topic that change a model or a policy, or should not.
        served: what is known of who answered.
        shadow: what is known of the shadow.
        watch: what is known of the monitor.
        shadow_exits, monitor_exits: as `exits`, of the workers of these.
        by_the_last: events that were sent when the last commands were obeyed.
        delivered: input records that the broker acknowledged, by topic and partition.
        restored: how their state came back, and how often each way.
        exits: scorers' exit codes and how often each came.
        last_words: of some scorers that ended by themselves, by exit code.
        violations: broken promises by kind; empty if all was kept.
    """

    seed: int
    minutes: float
    topology: str
    seconds: float = 0.0
    plan: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    events: int = 0
    answers: int = 0
    compared: int = 0
    features: int = 0
    late: int = 0
    rejected: int = 0
    repeats: int = 0
    labels: int = 0
    started: int = 0
    commands: int = 0
    served: Served = field(default_factory=Served)
    shadow: ShadowReport = field(default_factory=ShadowReport)
    shadows_started: int = 0
    shadow_exits: Counter[int] = field(default_factory=Counter)
    watch: WatchReport = field(default_factory=WatchReport)
    monitors_started: int = 0
    monitor_exits: Counter[int] = field(default_factory=Counter)
    by_the_last: int = 0
    restored: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    last_words: dict[int, list[str]] = field(default_factory=dict)
    aborted_inputs: int = 0
    resent_transactions: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    delivered: dict[tuple[str, int], int] = field(default_factory=dict)
    not_possible: list[str] = field(default_factory=list)
    folder: str = ""
    replay: str = ""

    @property
    def faults(self) -> int:
        """How many were injected."""
        return self.plan.total()

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        values = asdict(self)
        return values | {
            "faults": self.faults,
            "exits": _by_code(self.exits),
            "shadow_exits": _by_code(self.shadow_exits),
            "monitor_exits": _by_code(self.monitor_exits),
            "plan": dict(self.plan),
            "restored": dict(self.restored),
            "skipped": dict(self.skipped),
            "served": vars(self.served),
            "shadow": vars(self.shadow),
            "watch": vars(self.watch),
            "delivered": sum(self.delivered.values()),
        }


def show(report: Report, console: Console) -> None:
    """Print it as tables."""
    table = Table("fault", "injected", title=f"seed {report.seed}: {report.faults} faults")
    for kind, count in sorted(report.plan.items()):
        table.add_row(kind, str(count))
    for kind in report.not_possible:
        table.add_row(kind, "not possible on this machine")
    console.print(table)
    if report.skipped:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(report.skipped.items()))
        console.print(f"came when there was nothing to hit, not counted: {kinds}")
    restored = ", ".join(f"{count} × {how}" for how, count in sorted(report.restored.items()))
    console.print(
        f"{report.events:,} events, {report.answers:,} answers, {report.rejected:,} malformed, "
        f"{report.repeats:,} repeats left out, "
        f"{report.labels:,} labels; {report.started} scorers started, exit codes: "
        f"{_listed(report.exits)}\n"
        f"state restored: {restored or 'never'}\n"
        f"features of {report.compared:,} events compared with brute force, "
        f"{report.features:,} values; {report.late:,} flagged as late\n"
        f"{report.commands} commands; {report.served.recomputed:,} answers computed again by "
        f"{len(report.served.models)} models and {len(report.served.policies)} policies; "
        f"{report.served.by_canary:,} are a canary's, {report.served.stood_in:,} the champion's in "
        "its place; "
        f"{report.served.changes} changes in the partitions' answers, {report.served.went_back} "
        f"back by a scorer that was behind; obeyed after {report.served.lag_ms / 1e3:.1f} s at "
        f"most; {report.by_the_last} events after the last\n"
        f"{report.aborted_inputs} transactions of events aborted, {report.resent_transactions} "
        f"sent again; {report.seconds:.0f} s in all"
    )
    console.print(_of_the_shadow(report), markup=False)
    console.print(_of_the_monitor(report), markup=False)
    for kind, count in report.violations.items():
        console.print(f"[bold red]{count:,} × {kind}[/]")
        for example in report.examples.get(kind, []):
            console.print(f"    {example}", markup=False)
    if report.violations:
        console.print(f"kept in {report.folder}; again with: {report.replay}", markup=False)
    else:
        console.print(
            "[bold green]0 lost, 0 duplicated, 0 wrong features, 0 answers of another model, "
            "the same of the shadow, each event counted once by the monitor[/]"
        )


def _of_the_shadow(report: Report) -> str:
    shadow = report.shadow
    return (
        f"shadow: {shadow.scored:,} of {shadow.events:,} events of the feature log scored, "
        f"{shadow.shed:,} shed, {shadow.dead_lettered:,} dead letters; {shadow.asked_nobody:,} "
        f"while no candidate was ready\n"
        f"{shadow.answers.total():,} answers of {len(shadow.answers)} candidates computed again, "
        f"{shadow.same:,} of the answering model itself, to the bit; {shadow.errors:,} without an "
        f"answer; evidence of {shadow.gathered:,} pairs; {report.shadows_started} workers "
        f"started, exit codes: {_listed(report.shadow_exits)}"
    )


def _of_the_monitor(report: Report) -> str:
    watch = report.watch
    return (
        f"monitor: {watch.counted:,} events counted in {watch.cells:,} cells; {watch.said} records "
        f"on {watch.episodes} episodes; {report.monitors_started} workers started, exit codes: "
        f"{_listed(report.monitor_exits)}"
    )


def _listed(exits: Counter[int]) -> str:
    return ", ".join(f"{count} × {code}" for code, count in sorted(exits.items()))


def _by_code(exits: Counter[int]) -> dict[str, int]:
    return {str(code): count for code, count in sorted(exits.items())}
