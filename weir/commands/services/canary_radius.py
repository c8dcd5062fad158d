"""What a step of a canary will touch, told before it is given."""

from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table

from inference.canary.blast_radius import BlastRadius
from inference.control.canary import CanaryCommand
from inference.policy.policy import DECISIONS
from weir.cli.console import progress_bar, stdout
from weir.cli.dates import moment
from weir.commands.models.rooms import viewing_room
from weir.config.settings import Settings
from weir.services.candidates.blast_radius import radius_of

RadiusOption = Annotated[
    bool,
    typer.Option(
        "--blast-radius/--no-blast-radius",
        help="Tell first which keys, events, amounts and decisions it will touch.",
    ),
]

Radius = BlastRadius | str
"""What is touched; or in words, why nobody knows."""


def tell_radius(
    settings: Settings,
    after: CanaryCommand,
    former: float,
    wanted: bool,
    as_json: bool,
    no_progress: bool,
) -> Radius | None:
    """Find what a step touches, and print it unless it is for programs; None if nobody asked.

    Never in the way of the step: why nothing is known is said instead.

    Args:
        after, former: see `inference.canary.blast_radius`.
    """
    if not wanted:
        return None
    bar = partial(progress_bar, show=not (as_json or no_progress))
    radius: Radius
    try:
        with viewing_room(settings) as room:
            policy = room.policy_or(settings.policy)
        radius = radius_of(settings, after, former, policy, bar)
    except Exception as error:  # of whatever kind
        radius = str(error)
    if not as_json:
        _print(radius)
    return radius


def radius_dict(radius: Radius) -> dict[str, Any]:
    """For programs."""
    return {"unknown": radius} if isinstance(radius, str) else radius.as_dict()


def _print(radius: Radius) -> None:
    if isinstance(radius, str):
        stdout.print(f"blast radius: unknown: {radius}", soft_wrap=True)
        return
    stdout.print(
        f"blast radius at {radius.share:.2%} of the keys, from {radius.former:.2%}, by the "
        f"{radius.looked_at:,} events from {moment(radius.since, 's')} to "
        f"{moment(radius.until, 's')} UTC",
        soft_wrap=True,
    )
    table = Table("the canary's", "")
    table.add_row(
        "keys", f"{radius.keys:,} of {radius.all_keys:,} seen, {radius.new_keys:,} of them new"
    )
    table.add_row("events a day", _number(radius.events, "unknown: all are of one moment"))
    no_amounts = "unknown: policy.costs.amount names no field that went along"
    table.add_row("amounts a day", _number(radius.amounts, no_amounts))
    if radius.flips is None:
        table.add_row("flips a day", f"unknown: {radius.no_flips or 'all are of one moment'}")
    else:
        table.add_row(
            "flips a day",
            f"{radius.flips.sum():,.1f}{_amount(radius, None)}, by {radius.asked:,} events of the "
            "champion",
        )
        for i, j in zip(*radius.flips.nonzero(), strict=True):
            flip = f"{radius.flips[i, j]:,.1f}{_amount(radius, (i, j))}"
            table.add_row(f"  {DECISIONS[i]} → {DECISIONS[j]}", flip)
    stdout.print(table)


def _number(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.0f}"


def _amount(radius: BlastRadius, at: tuple[int, int] | None) -> str:
    amounts = radius.flip_amounts
    if amounts is None:
        return ""
    return f" (amounts {amounts.sum() if at is None else amounts[at]:,.0f})"
