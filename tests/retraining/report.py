"""What a campaign has shown."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.retraining.plan import POINTS
from tests.retraining.schedule import Outcome


@dataclass
class Report:
    """Sums over schedules.

    Attributes:
        kills: by point and who was hit.
        violations: by schedule, in words.
    """

    seed: int
    schedules: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    started: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    attempts: int = 0
    seconds: float = 0.0
    violations: dict[int, list[str]] = field(default_factory=dict)
    folder: str = ""

    def add(self, number: int, outcome: Outcome) -> None:
        """Count what came of a schedule."""
        self.schedules += 1
        self.kills += outcome.kills
        self.started += outcome.started
        self.exits += outcome.exits
        self.attempts += outcome.attempts
        if outcome.violations:
            self.violations[number] = outcome.violations

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        exits = {str(code): count for code, count in sorted(self.exits.items())}
        return vars(self) | {"kills": dict(self.kills), "exits": exits}


def show(report: Report, console: Console) -> None:
    """Print it as a table."""
    kills = report.kills.total()
    table = Table("killed when", "who", "times", title=f"seed {report.seed}: {kills} kills")
    for point in POINTS:
        of_point = [each for each in sorted(report.kills) if each.split(": ")[0] == point]
        for each in of_point:
            table.add_row(point, each.split(": ")[1], str(report.kills[each]))
    console.print(table)
    exits = ", ".join(f"{count} × {code}" for code, count in sorted(report.exits.items()))
    console.print(
        f"{report.schedules} schedules, {report.started} controllers started, "
        f"{report.attempts} attempts at jobs, {report.seconds:.0f} s in all; "
        f"ended by themselves, exit codes: {exits or 'none'}"
    )
    for number, words in sorted(report.violations.items()):
        console.print(f"[bold red]schedule {number}[/]")
        for each in words:
            console.print(f"    {each}", markup=False, soft_wrap=True)
    if report.violations:
        again = ",".join(map(str, sorted(report.violations)))
        console.print(
            f"kept in {report.folder}; again with: python -m tests.retraining "
            f"--seed {report.seed} --only {again}",
            markup=False,
            soft_wrap=True,
        )
    else:
        console.print("[bold green]one job, one model and one candidate for each episode[/]")
