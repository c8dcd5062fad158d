"""What could be trained on now, by the archive."""

from collections.abc import Callable
from time import monotonic

from monitoring.archive.errors import ArchiveError
from monitoring.archive.table import EVENTS, open_tables
from monitoring.archive.training_rows import Span, sight
from monitoring.retraining.events import Material
from monitoring.retraining.jobs.job import JobSpec
from monitoring.retraining.state import Cause
from weir.config.settings import Settings

_REST = 10
"""Between two looks pass so many times what the first took: an archive may be large."""

LeftOut = tuple[tuple[int, int], ...]
_Asked = tuple[Cause, str, LeftOut]


class ArchiveMaterial:
    """Asks the archive for what a cause could be trained on; for one thread.

    Attributes:
        hindrance: why there is nothing, in words.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._known: tuple[_Asked, Material] | None = None
        self._again_at = 0.0
        self.hindrance = ""

    def of(self, cause: Cause, champion: str, left_out: LeftOut) -> Material | None:
        """What there is for a cause, as it was a moment ago; None where there is nothing.

        Args:
            left_out: spans of event times, ms, of which no event counts.
        """
        asked, known = (cause, champion, left_out), self._known
        if known is not None and known[0] == asked and self._clock() < self._again_at:
            return known[1]
        begun = self._clock()
        try:
            self._known = (asked, self._find(*asked))
            self.hindrance = ""
        except ArchiveError as error:
            self._known, self.hindrance = None, str(error)
        self._again_at = self._clock() + _REST * (self._clock() - begun)
        return None if self._known is None else self._known[1]

    def _find(self, cause: Cause, champion: str, left_out: LeftOut) -> Material:
        settings = self._settings
        place = settings.archive.place(settings.data_dir)
        tables = open_tables(place, settings.archive.storage_options())
        if tables[EVENTS].newest() is None:
            raise ArchiveError(f"there is no archive at {place} yet: `weir archive` begins one")
        terms, schema = settings.terms(), settings.plan().schema_hash
        delay, legitimate = terms.maturity, terms.unlabelled_count
        found = sight(tables, schema, Span(cause.since, None, delay, legitimate, left_out))
        span = settings.retraining.span
        start = found.newest - span if span and found.newest is not None else None
        spec = JobSpec(
            cause=cause.id,
            champion=champion,
            feature_schema=schema,
            archive=place,
            until=found.until,
            start=start,
            stop=None,
            label_delay=delay,
            unlabelled_legitimate=legitimate,
        )
        return Material(found.labels, found.frauds, spec)
