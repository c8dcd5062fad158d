"""The prequential protocol over a file of labelled events, or over the archive."""

from typing import NamedTuple

from inference.evaluation.evaluate import DAY_MS
from inference.training.prequential import Fold, FoldResult, folds_until, prequential, reaches
from inference.training.training_set import TrainingError, TrainingSet
from streams.base.clock import utc
from streams.files.event_file import EventFile
from weir.config.settings import Settings
from weir.training.archived import archived_rows
from weir.training.registering import Choose, Progress, training_set
from weir.training.searching import search_folds


class Protocol(NamedTuple):
    """What to run.

    Attributes:
        stop: where the last fold's test ends, UTC milliseconds; None for the end of the last
            event's day.
        choose: searches the settings, once, on folds that end where the first training ends; None
            to take them as set.
    """

    stop: int | None
    choose: Choose | None = None


def prequential_of_file(
    settings: Settings, file: EventFile, protocol: Protocol, progress: Progress
) -> list[FoldResult]:
    """Train and test in each fold, the earliest first.

    Args:
        file: opened with its labels, without repeats.

    Raises:
        TrainingError: the file begins after the first fold, or a fold can't be trained or tested.
    """
    delay = settings.labels.delay
    end = _day_after(int(file.times[-1])) if protocol.stop is None else protocol.stop
    begin = _begin(settings, end, delay, protocol)
    if begin < file.times[0]:
        raise _too_late(str(file.path), int(file.times[0]), begin)
    return _run(
        settings, training_set(settings, file, begin, end, progress), end, protocol, progress
    )


def prequential_of_archive(
    settings: Settings,
    place: str | None,
    label_delay: int | None,
    protocol: Protocol,
    progress: Progress,
) -> list[FoldResult]:
    """Train and test in each fold on what was archived, the earliest first.

    Args:
        place, label_delay: see `archived_rows`.

    Raises:
        TrainingError: there is nothing of the first fold, or a fold can't be trained or tested.
        ArchiveAwayError, ArchiveError: the archive can't be read, or there is none.
    """
    span: tuple[int | None, int | None] = (None, None)
    if protocol.stop is not None:
        delay = settings.terms().maturity if label_delay is None else label_delay
        span = (_begin(settings, protocol.stop, delay, protocol), protocol.stop)
    data = archived_rows(settings, place, span, label_delay, progress)
    end = _day_after(int(data.times[-1])) if protocol.stop is None else protocol.stop
    return _run(settings, data, end, protocol, progress)


def _run(
    settings: Settings, data: TrainingSet, end: int, protocol: Protocol, progress: Progress
) -> list[FoldResult]:
    assert data.version is not None
    delay = data.version.label_delay
    folds = _folds(settings, end, delay)
    if not reaches(data.times, folds):
        raise _too_late("what there is", int(data.times[0]), folds[0].train_start)
    training = settings.training
    if protocol.choose is not None:
        training = protocol.choose(data, folds[0].train_stop).settings
    cards = settings.evaluation.cards_per_day
    return list(prequential(data, folds, delay, training, cards, progress))


def _folds(settings: Settings, end: int, delay: int) -> list[Fold]:
    return folds_until(end, delay, settings.prequential)


def _begin(settings: Settings, end: int, delay: int, protocol: Protocol) -> int:
    first = _folds(settings, end, delay)[0]
    if protocol.choose is None:
        return first.train_start
    return search_folds(settings, first.train_stop, delay)[0].train_start


def _day_after(time: int) -> int:
    return (time // DAY_MS + 1) * DAY_MS


def _too_late(what: str, first: int, needed: int) -> TrainingError:
    return TrainingError(
        f"{what} begins on {utc(first)}, and the folds need events from {utc(needed)} on: ask for "
        "fewer or shorter ones under [prequential] (and training.search.folds), or end later"
    )
