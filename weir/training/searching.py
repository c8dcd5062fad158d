"""Searching settings by what `[training.search]` and `[prequential]` say."""

from inference.training.prequential import Fold, folds_until
from inference.training.search.search import Chosen, search
from inference.training.training_set import TrainingSet
from weir.config.settings import Settings
from weir.services.stopping import interrupt_on_signals
from weir.training.registering import Progress


def search_folds(settings: Settings, end: int, delay: int) -> list[Fold]:
    """Folds of a search whose last test ends at `end`, UTC milliseconds, with labels that late."""
    count = {"folds": settings.training.search.folds}
    return folds_until(end, delay, settings.prequential.model_copy(update=count))


def search_before(settings: Settings, data: TrainingSet, end: int, progress: Progress) -> Chosen:
    """Search on the folds of which the last test ends at `end`, UTC milliseconds.

    In the main thread: SIGTERM and Ctrl-C end it.

    Raises:
        TrainingError: the data do not reach so far back, a fold has no fraud, or all trials failed.
        KeyboardInterrupt: it was stopped, and the best so far is not wanted.
    """
    delay = settings.labels.delay if data.version is None else data.version.label_delay
    with interrupt_on_signals() as stopped:
        return search(
            data,
            search_folds(settings, end, delay),
            delay,
            settings.training,
            settings.evaluation.cards_per_day,
            progress,
            stopped=stopped,
        )
