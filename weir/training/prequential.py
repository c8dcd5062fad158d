"""The prequential protocol over a file of labelled events."""

from collections.abc import Iterator

import numpy as np

from inference.evaluation.evaluate import DAY_MS
from inference.training.prequential import FoldResult, folds_until, prequential
from inference.training.training_set import TrainingError
from streams.base.clock import utc
from streams.files.columns import UNLABELLED
from streams.files.event_file import EventFile
from weir.config.settings import Settings
from weir.training.registering import Progress, training_set


def prequential_of_file(
    settings: Settings, file: EventFile, stop_ms: int | None, progress: Progress
) -> Iterator[FoldResult]:
    """Train and test in each fold, the earliest first.

    Args:
        file: opened with its labels, without repeats.
        stop_ms: where the last fold's test ends; None for the end of the last event's day.

    Raises:
        TrainingError: the file begins after the first fold, or a fold can't be trained or tested.
    """
    end = (int(file.times[-1]) // DAY_MS + 1) * DAY_MS if stop_ms is None else stop_ms
    folds = folds_until(end, settings.labels.delay, settings.prequential)
    begin = folds[0].train_start
    if begin < file.times[0]:
        raise TrainingError(
            f"{file.path} begins on {utc(int(file.times[0]))}, and {len(folds)} folds need events "
            f"from {utc(begin)} on: ask for fewer or shorter ones under [prequential], or end later"
        )
    rows = training_set(settings, file, begin, end, progress)
    first, last = file.span(begin, end)
    assert file.labels is not None
    known = file.labels[first:last] != UNLABELLED
    column = file.events.column(settings.event.key).slice(first, last - first)
    keys = np.asarray(column.to_numpy(zero_copy_only=False))[known]
    yield from prequential(
        rows,
        keys,
        folds,
        settings.labels.delay,
        settings.training,
        settings.evaluation.cards_per_day,
        progress,
    )
