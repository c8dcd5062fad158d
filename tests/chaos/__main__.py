"""``python -m tests.chaos --minutes 20 --seed 7``: what ``make chaos`` runs."""

import argparse
import json
import secrets
import sys
from pathlib import Path

from rich.console import Console

from tests.chaos import campaign
from tests.chaos.faults import FAULTS
from tests.chaos.report import show
from tests.chaos.screen import progress_on

_FAULTS_PER_MINUTE = 11
_EVENTS_PER_MINUTE = 55_000


def main() -> int:
    """Run one campaign; the exit code is 1 where a promise was broken."""
    order, as_json = _read_arguments()
    stderr = Console(stderr=True)
    with progress_on(stderr, f"seed {order.seed}") as progress:
        report = campaign.run(order, progress)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
    show(report, stderr if as_json else Console())
    return 1 if report.violations else 0


def _read_arguments() -> tuple[campaign.Order, bool]:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="time with faults")
    parser.add_argument("--seed", type=int, help="of all chance; a new one if it is left out")
    parser.add_argument("--faults", type=int, help=f"{_FAULTS_PER_MINUTE} a minute if left out")
    parser.add_argument("--events", type=int, help=f"{_EVENTS_PER_MINUTE} a minute if left out")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=sorted(FAULTS),
        help="inject only this kind; may be given again",
    )
    parser.add_argument("--topology", choices=("fused", "staged"), default="fused")
    parser.add_argument("--workers", type=int, help="wanted at a time: 1, or 3 if staged")
    parser.add_argument("--group-protocol", choices=("classic", "consumer"), default="classic")
    parser.add_argument(
        "--repeats",
        type=float,
        default=0.0,
        help="share of events behind which one comes again; the scorers then leave repeats out",
    )
    parser.add_argument("--keep", action="store_true", help="the run's folder, whatever comes out")
    parser.add_argument("--folder", type=Path, default=Path("var/chaos"))
    parser.add_argument("--json", action="store_true", help="the report on stdout as JSON")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    return (
        campaign.Order(
            folder=(given.folder / f"seed-{seed}").resolve(),
            seed=seed,
            minutes=given.minutes,
            faults=given.faults or round(_FAULTS_PER_MINUTE * given.minutes),
            events=given.events or round(_EVENTS_PER_MINUTE * given.minutes),
            only=tuple(given.only),
            topology=given.topology,
            workers=given.workers or (3 if given.topology == "staged" else 1),
            group_protocol=given.group_protocol,
            keep=given.keep,
            repeats=given.repeats,
        ),
        given.json,
    )


if __name__ == "__main__":
    sys.exit(main())
