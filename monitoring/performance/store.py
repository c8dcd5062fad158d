"""Cohorts in SQL: a row for what each partition has of a cohort; a newer one takes its place.

So writing is idempotent, and a row that is written late, by a worker that has lost the partition,
changes nothing. Whoever reads adds up the parts. The columns are for dashboards; the body is all.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Date,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from inference.shadow.statistics.moments import STEP
from monitoring.performance.cohorts.cohort import (
    Cohort,
    CohortKey,
    cohort_bytes,
    date_of,
    read_cohort,
)
from monitoring.performance.errors import PerformanceStoreError, PerformanceStoreUnavailableError
from streams.base.sql.database import SqlDatabase

LAYOUT = 1
"""Raised when the tables change."""
_WRITER = 0x7765_6972_7066
_EPOCH = date(1970, 1, 1)
_AT_ONCE = 200

metadata = MetaData()

layouts = Table(
    "weir_performance", metadata, Column("layout", Integer, primary_key=True, autoincrement=False)
)
"""One row: what the tables are like."""

daily = Table(
    "weir_performance_daily",
    metadata,
    Column("day", Date, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("terms", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("stamp", BigInteger, nullable=False),
    Column("watermark", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("events", "reviewed", "declined")),
    Column("anomalous", BigInteger, nullable=False),
    Column("expected_frauds", Float, nullable=False),
    Column("expected_caught", Float, nullable=False),
    Column("expected_cost", Float, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("mature", "frauds", "caught")),
    Column("false_alerts", BigInteger, nullable=False),
    Column("cost", Float, nullable=False),
    Column("body", Text, nullable=False),
)
"""Parts of cohorts."""


@dataclass(frozen=True)
class CohortPart:
    """What one partition has of a cohort.

    Attributes:
        part: names the partition.
        stamp: when it was so, ms UTC; of two rows of one part the later one counts.
        watermark: the time up to which labels were known then, ms.
    """

    key: CohortKey
    part: str
    stamp: int
    watermark: int
    cohort: Cohort


class KeptCohort(NamedTuple):
    """A cohort, and the time up to which the labels of all its parts were known, ms."""

    cohort: Cohort
    watermark: int


class PerformanceStore(SqlDatabase):
    """The tables, made at the first use; a context manager.

    Raises:
        PerformanceStoreUnavailableError: the database does not answer.
        PerformanceStoreError: it can't be used.
    """

    setting = "performance.url"
    maker = "weir monitor"
    failed = PerformanceStoreError
    unavailable = PerformanceStoreUnavailableError
    writer = _WRITER

    def __init__(
        self, url: URL, connect: dict[str, Any] | None = None, *, make: bool = True
    ) -> None:
        super().__init__(url, connect, make=make)
        self._check(make)

    def write(self, parts: Iterable[CohortPart]) -> None:
        """Write parts in one transaction, each in place of an older one.

        Raises:
            PerformanceStoreUnavailableError, PerformanceStoreError: the database failed; writing
                the same again does no harm.
        """
        rows = [_row(part) for part in parts]
        upsert = (sqlite if self.file is not None else postgresql).insert(daily)
        keys = [column.name for column in daily.primary_key]
        new = upsert.excluded
        statement = upsert.on_conflict_do_update(
            index_elements=keys,
            set_={each.name: new[each.name] for each in daily.c if each.name not in keys},
            where=daily.c.stamp < new.stamp,
        )
        with self.writing() as connection:
            for begin in range(0, len(rows), _AT_ONCE):
                connection.execute(statement, rows[begin : begin + _AT_ONCE])

    def read(
        self, first: int | None = None, end: int | None = None, model: str | None = None
    ) -> dict[CohortKey, KeptCohort]:
        """Cohorts by their keys, in order, the parts of each added up.

        Args:
            first, end: days since the epoch; the end is left out.
            model: the beginning of its package's id.

        Raises:
            PerformanceStoreUnavailableError, PerformanceStoreError: the database failed, or a row
                is not as Weir writes it.
        """
        query = select(daily).order_by(*daily.primary_key)
        if first is not None:
            query = query.where(daily.c.day >= date_of(first))
        if end is not None:
            query = query.where(daily.c.day < date_of(end))
        if model is not None:
            query = query.where(daily.c.model.startswith(model, autoescape=True))
        found: dict[CohortKey, KeptCohort] = {}
        with self.reading() as connection:
            for row in connection.execute(query):
                key = CohortKey((row.day - _EPOCH).days, row.model, row.segment, row.terms)
                before = found.get(key, KeptCohort(Cohort(), row.watermark))
                found[key] = KeptCohort(
                    before.cohort + self._cohort(row), min(before.watermark, row.watermark)
                )
        return found

    def _cohort(self, row: Any) -> Cohort:
        try:
            return read_cohort(row.body)
        except ValidationError as error:
            raise PerformanceStoreError(
                f"performance.url: {self.place}: the row of {row.day} and model {row.model} in "
                f"weir_performance_daily is not as Weir writes it: delete it ({error.errors()[0]})"
            ) from error

    def _check(self, make: bool) -> None:
        known = None
        with suppress(*[PerformanceStoreError] if make else []), self.reading() as connection:
            known = connection.execute(select(layouts)).scalar()
        if known is None:
            with self.writing() as connection:
                metadata.create_all(connection)
                known = connection.execute(select(layouts)).scalar()
                if known is None:
                    connection.execute(insert(layouts), {"layout": LAYOUT})
                    known = LAYOUT
        if known != LAYOUT:
            raise PerformanceStoreError(
                f"performance.url: {self.place} has tables of layout {known}, and this version of "
                f"Weir knows {LAYOUT}: use the version that made them, or name another database"
            )


def _row(part: CohortPart) -> dict[str, Any]:
    key, cohort = part.key, part.cohort
    approved, reviewed, declined = cohort.answered
    caught = reviewed.expected_frauds + declined.expected_frauds
    return {
        "day": date_of(key.day),
        "model": key.model,
        "segment": key.segment,
        "terms": key.terms,
        "part": part.part,
        "stamp": part.stamp,
        "watermark": part.watermark,
        "events": cohort.events,
        "reviewed": reviewed.events,
        "declined": declined.events,
        "anomalous": cohort.anomalous,
        "expected_frauds": caught + approved.expected_frauds,
        "expected_caught": caught,
        "expected_cost": sum(each.cost for each in cohort.answered) * STEP,
        "mature": cohort.truth.events,
        "frauds": sum(cohort.truth.frauds),
        "caught": cohort.truth.caught,
        "false_alerts": cohort.truth.false_alerts,
        "cost": cohort.truth.cost.total * STEP,
        "body": cohort_bytes(cohort).decode(),
    }
