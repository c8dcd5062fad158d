"""An experiment on the screen, or for programs."""

from rich.table import Table

from inference.control.arm_reports import ArmsReport
from inference.control.canary import CanaryCommand
from weir.cli.console import print_json, stdout
from weir.cli.dates import moment
from weir.commands.services.canary_radius import Radius, radius_dict


def show(
    command: CanaryCommand,
    reports: dict[str, ArmsReport],
    as_json: bool,
    radius: Radius | None = None,
) -> None:
    """Print which arms there are, and what scorers report of them."""
    if as_json:
        told = {worker: each.model_dump(mode="json") for worker, each in reports.items()}
        of_step = {} if radius is None else {"blast_radius": radius_dict(radius)}
        print_json({"experiment": command.model_dump(mode="json"), "scorers": told} | of_step)
        return
    stdout.print(
        f"experiment {command.experiment}, {command.state} since {moment(command.at, 's')}, by "
        f"{command.by}{f': {command.note}' if command.note else ''}",
        soft_wrap=True,
    )
    shares = Table("arm", "model", "share of keys")
    rest = 1 - sum(arm.share for arm in command.arms)
    shares.add_row("champion", command.champion[:12], f"{max(rest, 0.0):.2%}")
    for arm in command.arms:
        shares.add_row(arm.name, str(arm.model), f"{arm.share:.2%}")
    stdout.print(shares)
    if not reports:
        stdout.print("no scorer has reported of it yet")
        return
    table = Table("scorer", "arm", "state", "events", "no answer", "why")
    for worker, report in reports.items():
        for each in report.arms:
            failed = sum(each.counts.get(why, 0) for why in ("late", "error", "nan"))
            asked = each.counts.get("events", 0)
            table.add_row(worker, each.name, each.state, f"{asked:,}", f"{failed:,}", each.reason)
    stdout.print(table)
