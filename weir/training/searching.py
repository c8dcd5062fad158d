"""Searching settings by what `[training.search]` and `[prequential]` say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from inference.training.prequential import Fold, folds_until
from inference.training.search.search import Chosen, search
from inference.training.search.trial import TrialResult, TrialRules, run_trial
from inference.training.settings import TrainingSettings
from inference.training.training_set import TrainingSet
from weir.config.settings import Settings
from weir.services.stopping import interrupt_on_signals
from weir.spark.session import spark_session
from weir.training.registering import Progress


def search_folds(settings: Settings, end: int, delay: int) -> list[Fold]:
    """Folds of a search whose last test ends at `end`, UTC milliseconds, with labels that late."""
    count = {"folds": settings.training.search.folds}
    return folds_until(end, delay, settings.prequential.model_copy(update=count))


def search_before(
    settings: Settings, data: TrainingSet, end: int, progress: Progress, by_spark: bool = False
) -> Chosen:
    """Search on the folds of which the last test ends at `end`, UTC milliseconds.

    In the main thread: SIGTERM and Ctrl-C end it.

    Args:
        by_spark: run trials on Spark's executors, as many at once as it has cores.

    Raises:
        TrainingError: the data do not reach so far back, a fold has no fraud, or all trials failed.
        SparkUnavailableError, SparkFailedError: see `spark_session`.
        KeyboardInterrupt: it was stopped, and the best so far is not wanted.
    """
    delay = settings.labels.delay if data.version is None else data.version.label_delay
    where = _on_spark(settings, progress) if by_spark else nullcontext(dict[str, Any]())
    with where as runs, interrupt_on_signals() as stopped:
        return search(
            data,
            search_folds(settings, end, delay),
            delay,
            settings.training,
            settings.evaluation.cards_per_day,
            progress,
            stopped=stopped,
            **runs,
        )


@contextmanager
def _on_spark(settings: Settings, progress: Progress) -> Iterator[dict[str, Any]]:
    """How `search` runs trials on executors; their rows lie in `data_dir`, which all share."""
    shared = settings.data_dir.absolute()
    progress("starting Spark", 0.0)
    with spark_session(settings.spark, settings.data_dir) as spark:
        context = spark.session.sparkContext

        def run(rules: TrialRules, asked: Sequence[TrainingSettings]) -> list[TrialResult]:
            return list(
                context.parallelize(asked, len(asked)).map(partial(run_trial, rules)).collect()
            )

        # A cluster's executors say how many cores they have as they come; a job waits for them.
        context.parallelize([0], 1).count()
        yield {"run": run, "at_once": context.defaultParallelism, "shared": shared}
