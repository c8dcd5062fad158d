"""A candidate beside the champion, by all that stands on the topics now."""

from contextlib import closing

import numpy as np

from inference.shadow.comparison.comparison import Comparison, compare
from inference.shadow.comparison.maturity import read_labels
from inference.shadow.comparison.pairs import Progress, ReadPairs, read_pairs
from inference.shadow.shadow_book import ShadowBook
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader
from weir.config.settings import Settings
from weir.services.wiring import command_keys

_SEED = 14


def read_book(settings: Settings, kafka: KafkaSettings) -> ShadowBook:
    """What the control topic says of candidates."""
    book = ShadowBook(command_keys(settings))
    with closing(ControlReader(kafka, settings.topics.control)) as reader:
        reader.read_to_end(book.hear)
    return book


def compared_now(
    settings: Settings, kafka: KafkaSettings, book: ShadowBook, name: str
) -> Comparison:
    """Compare a candidate of the book.

    Raises:
        NothingToCompareError: it has said nothing.
        KafkaException: the cluster failed.
    """
    read = read_pairs(kafka, settings.topics.shadow_scores, name, amount(settings))
    return with_labels(settings, kafka, read, book.place(name))


def with_labels(
    settings: Settings,
    kafka: KafkaSettings,
    read: ReadPairs,
    place: int,
    progress: Progress = lambda done, total: None,
) -> Comparison:
    """Compare what was read, by the labels that stand there now.

    Args:
        place: see `compare`.
    """
    return compare(
        read,
        read_labels(kafka, settings.topics.labels, progress),
        settings.comparison,
        maturity_ms=maturity(settings),
        place=place,
        generator=np.random.default_rng(_SEED),
    )


def amount(settings: Settings) -> str | None:
    """The field that says what is at stake."""
    costs = settings.comparison.costs
    return None if costs is None else costs.amount


def maturity(settings: Settings) -> int:
    """The age at which an event counts, ms."""
    said = settings.comparison.maturity
    return settings.labels.delay if said is None else said
