"""`weir score --archive`: what a model and the policy say of the events of an archive."""

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from inference.importing.sandbox.package_trial import PackageTrials
from inference.packages.registry import CHAMPION_ALIAS
from inference.policy.floor import BoundedPolicies
from monitoring.archive.scoring import ArchiveScoring, plan_scoring
from monitoring.archive.table import EVENTS, open_tables
from streams.base import compiled_code
from streams.spark.writing import check_place, publish
from weir.cli.console import ComputeEngine, Step, print_json, progress_bar, stdout, steps_bar
from weir.config.settings import Settings
from weir.services.scorer_model import package_trials
from weir.services.wiring import open_registry
from weir.spark.session import spark_session


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
    job = _job(settings, archive, model, out, package_trials(settings))
    with tempfile.TemporaryDirectory(prefix=f"{out.name}.half-", dir=out.parent) as folder:
        job = replace(job, out=Path(folder) / "parts")
        job.out.mkdir()
        if engine is ComputeEngine.SPARK:
            counts = _by_spark(settings, job, not as_json)
        else:
            with progress_bar("scoring the archive's files", not as_json) as step:
                counts = _here(job, step)
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


def _job(
    settings: Settings, archive: str, model: str | None, out: Path, tried: PackageTrials
) -> ArchiveScoring:
    package = open_registry(settings).resolve(model or CHAMPION_ALIAS)
    tried(package)
    policy = BoundedPolicies(settings.policy).fit(settings.policy, package.thresholds)
    options = settings.archive.storage_options()
    return plan_scoring(open_tables(archive, options)[EVENTS], options, package, policy, out)


def _here(job: ArchiveScoring, step: Step) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for number in range(len(job.files)):
        counts.update(job.score_file(number))
        step(number + 1, len(job.files))
    return dict(counts)


def _by_spark(settings: Settings, job: ArchiveScoring, show: bool) -> dict[str, int]:
    compiled, numbers = settings.compiled_dir, range(len(job.files))

    def score(number: int) -> dict[str, int]:
        compiled_code.keep_in(compiled)
        scoring: ArchiveScoring = shared.value
        return scoring.score_file(number)

    counts: Counter[str] = Counter()
    with (
        steps_bar(show) as progress,
        spark_session(settings.spark, settings.data_dir, progress) as run,
    ):
        run.step("scoring the archive's files")
        context = run.session.sparkContext
        shared = context.broadcast(job)
        for each in context.parallelize(numbers, len(numbers)).map(score).collect():
            counts.update(each)
    return dict(counts)
