"""`weir evaluate --archive`: how good a model is on the events of an archive."""

import tempfile
from pathlib import Path

from inference.evaluation.evaluate import Evaluation, evaluate
from monitoring.archive.judged import read_judged
from monitoring.archive.table import open_tables
from monitoring.archive.training_rows import Span
from weir.cli.console import ComputeEngine
from weir.config.settings import Settings
from weir.services.stopping import interrupt_on_signals
from weir.training.archive_scoring import score_files, scoring_job


def evaluate_archive(
    settings: Settings,
    archive: str,
    model: str | None,
    engine: ComputeEngine,
    span: tuple[int | None, int | None],
    show: bool,
) -> Evaluation:
    """Score an archive's events, and judge the answers.

    The answers lie in a folder in ``data_dir``, which Spark's executors have to share, until they
    are judged: this process holds some 100 bytes of each event.

    Args:
        span: event times, UTC milliseconds, the last left out.

    Raises:
        InferenceError: there is no such model, or it does not work.
        ArchiveError, ArchiveAwayError: there are no events of its features, or they can't be read.
    """
    terms = settings.terms()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (
        interrupt_on_signals(),
        tempfile.TemporaryDirectory(prefix="judged-", dir=settings.data_dir) as folder,
    ):
        answers = Path(folder).absolute()
        job = scoring_job(settings, archive, model, answers)
        score_files(settings, job, engine, show)
        judged = read_judged(
            open_tables(archive, settings.archive.storage_options()),
            answers,
            job.package.features.schema_hash,
            Span(*span, terms.maturity, terms.unlabelled_count),
        )
    return evaluate(
        **judged._asdict(),
        k=settings.evaluation.cards_per_day,
        capacity_per_day=settings.evaluation.events_per_day,
    )
