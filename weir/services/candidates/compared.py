"""A candidate beside the champion, by the evidence that the shadow has gathered."""

from collections.abc import Iterable, Iterator
from contextlib import closing

import numpy as np

from inference.shadow.comparison.comparison import Comparison, compare
from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.rows import NothingToCompareError
from inference.shadow.joining.gathering import gather, read_evidence
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
    settings: Settings, kafka: KafkaSettings, book: ShadowBook, names: Iterable[str]
) -> Iterator[tuple[str, Comparison | NothingToCompareError]]:
    """Compare candidates of the book with the champion, or say why one can't be.

    Raises:
        AuthorizationError: we may not read the evidence.
        KafkaException: the cluster failed.
    """
    parts = read_evidence(kafka, settings.topics.shadow_evidence)
    terms = settings.terms()
    for name in names:
        try:
            gathered = gather(name, parts, terms)
        except NothingToCompareError as error:
            yield name, error
        else:
            yield name, judged(settings, gathered, book.place(name))


def judged(settings: Settings, gathered: Gathered, place: int) -> Comparison:
    """The comparison that evidence leads to; see `compare`."""
    return compare(
        gathered,
        settings.policy.costs,
        cards_per_day=settings.comparison.cards_per_day,
        overall_alpha=settings.comparison.alpha,
        maturity_ms=settings.terms().maturity,
        place=place,
        generator=np.random.default_rng(_SEED),
    )
