"""`weir score --archive`: what a model and the policy say of the events of an archive."""

import tempfile
from dataclasses import replace
from pathlib import Path

from inference.packages.registry import CHAMPION_ALIAS
from inference.policy.floor import BoundedPolicies
from monitoring.archive.scoring import ArchiveScoring, plan_scoring
from monitoring.archive.table import EVENTS, open_tables
from streams.spark.writing import check_place, publish
from weir.cli.console import ComputeEngine, print_json, stdout
from weir.config.settings import Settings
from weir.services.scorer_model import package_trials
from weir.services.wiring import open_registry
from weir.spark.scoring import score_files


def score_archive(
    settings: Settings,
    archive: str,
    model: str | None,
    out: Path,
    engine: ComputeEngine,
    as_json: bool,
) -> None:
    """Score, and print how many events got which decision.

    Raises:
        InferenceError: there is no such model, or it does not work.
        ArchiveError, ArchiveAwayError: there are no events of its features, or they can't be read.
        FolderTakenError: the folder holds something else.
    """
    check_place(out)
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    job = scoring_job(settings, archive, model, out)
    with tempfile.TemporaryDirectory(prefix=f"{out.name}.half-", dir=out.parent) as folder:
        job = replace(job, out=Path(folder) / "parts")
        job.out.mkdir()
        counts = score_files(settings, job, engine, not as_json)
        publish(job.out, out)
    events = sum(counts.values())
    if as_json:
        print_json(
            {"out": out, "events": events, "decisions": counts, "model": job.package.id}
            | {"policy": job.policy.version, "archive_version": job.version}
        )
        return
    stdout.print(
        f"{out}: {events:,} events by model {job.package.short_id}, policy {job.policy.version}: "
        + ", ".join(f"{decision} {count:,}" for decision, count in counts.items()),
        soft_wrap=True,
    )


def scoring_job(settings: Settings, archive: str, model: str | None, out: Path) -> ArchiveScoring:
    """What is scored by which model, the champion by default, and the policy of the settings.

    Raises:
        InferenceError: there is no such model, or it does not work.
        ArchiveError, ArchiveAwayError: there are no events of its features, or they can't be read.
    """
    package = open_registry(settings).resolve(model or CHAMPION_ALIAS)
    package_trials(settings)(package)
    policy = BoundedPolicies(settings.policy).fit(settings.policy, package.thresholds)
    options = settings.archive.storage_options()
    return plan_scoring(open_tables(archive, options)[EVENTS], options, package, policy, out)
