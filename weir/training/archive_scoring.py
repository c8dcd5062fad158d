"""Scores the files of an archive, on this machine or on Spark's executors."""

from collections import Counter
from pathlib import Path

from inference.packages.registry import CHAMPION_ALIAS
from inference.policy.floor import BoundedPolicies
from monitoring.archive.scoring import ArchiveScoring, plan_scoring
from monitoring.archive.table import EVENTS, open_tables
from streams.base import compiled_code
from weir.cli.console import ComputeEngine, Step, progress_bar, steps_bar
from weir.config.settings import Settings
from weir.services.scorer_model import package_trials
from weir.services.wiring import open_registry
from weir.spark.session import spark_session


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


def score_files(
    settings: Settings, job: ArchiveScoring, engine: ComputeEngine, show: bool
) -> dict[str, int]:
    """Score all files, and say how many events got which decision.

    Args:
        show: whether to show how far it is.

    Raises:
        ArchiveAwayError: the store does not answer.
        OSError: the answers can't be written.
        SparkUnavailableError, SparkFailedError: see `spark_session`.
    """
    if engine is ComputeEngine.SPARK:
        return _by_spark(settings, job, show)
    with progress_bar("scoring the archive's files", show) as step:
        return _here(job, step)


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
