"""``python -m tests.retraining --schedules 50 --seed 7``: what ``make retraining-check`` runs.

Real controllers and real jobs on a real broker are killed at each step of their way, in topics and
a folder of each schedule's own. Whatever happens, an episode has one job, the registry one model of
it, and the control topic one candidate.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from rich.console import Console

from tests.chaos.inspection import Progress
from tests.chaos.screen import progress_on
from tests.retraining.plan import draw
from tests.retraining.report import Report, show
from tests.retraining.schedule import Schedule
from tests.retraining.stage import Stage
from weir.broker import BrokerSettings, LocalBroker


async def play_all(
    stage: Stage, report: Report, numbers: Sequence[int], together: int, progress: Progress
) -> None:
    """Play schedules, so many at a time."""
    turns = asyncio.Semaphore(together)

    async def play(number: int) -> None:
        async with turns:
            config, settings = stage.copy(number)
            plan = draw(report.seed, number)
            outcome = await Schedule(config, settings, stage.champion, plan).play()
        report.add(number, outcome)
        if not outcome.violations:
            shutil.rmtree(config.parent)
        kills = outcome.kills.total()
        said = f"{report.schedules} schedules; the last one: {kills} kills, {outcome.seconds:.0f} s"
        progress(said, report.schedules / len(numbers))

    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(play(number))


def main() -> int:
    """Run one campaign; the exit code is 1 where a promise was broken."""
    order = _read_arguments()
    seed = secrets.randbelow(1_000_000) if order.seed is None else order.seed
    folder: Path = (order.folder / f"seed-{seed}").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report, begun = Report(seed, folder=str(folder)), monotonic()
    numbers = order.only or range(order.schedules)
    stderr = Console(stderr=True)
    with (
        progress_on(stderr, f"seed {seed}: preparing the archive") as progress,
        LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker,
    ):
        stage = Stage(folder, broker.bootstrap_servers)
        stage.prepare()
        asyncio.run(play_all(stage, report, numbers, order.together, progress))
    report.seconds = monotonic() - begun
    if not report.violations:
        shutil.rmtree(folder)
    if order.json:
        print(json.dumps(report.as_json(), indent=2))
    show(report, stderr if order.json else Console())
    return 1 if report.violations else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.retraining", description=__doc__)
    parser.add_argument("--schedules", type=int, default=50)
    parser.add_argument("--seed", type=int, help="of all chance; a new one if it is left out")
    parser.add_argument("--only", type=_numbers, help="these schedules alone, such as 3,17")
    parser.add_argument("--together", type=int, default=3, help="schedules at a time: most wait")
    parser.add_argument("--folder", type=Path, default=Path("var/retraining"))
    parser.add_argument("--json", action="store_true", help="the report on stdout as JSON")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
