"""SQL over the archive: views ``events``, ``scores``, ``labels`` and ``matured`` in DuckDB."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from monitoring.archive.errors import ArchiveError
from monitoring.archive.table import EVENTS, LABELS, SCORES, ArchiveTable

_MATURED = """
create view matured as
with known as (
  select event_id, label, time from labels where event_id is not null
), complete as (
  -- Up to when all is known: a replay of months in minutes has no other clock.
  select least(
    (select max(event_time) from events),
    (select max(time) from labels)
  ) as at
), first_labels as (
  select e.event_id, max_by(k.label, k.time) as label, max(k.time) as labelled
  from events e join known k on k.event_id = e.event_id
   and k.time <= e.event_time + to_milliseconds({maturity})
  group by e.event_id
)
select e.*, coalesce(f.label, {unlabelled})::tinyint as label, f.labelled
from events e left join first_labels f using (event_id), complete
where e.event_time + to_milliseconds({maturity}) <= complete.at {left_out}
"""


def open_views(
    tables: Mapping[str, ArchiveTable], *, maturity: int, unlabelled_legitimate: bool
) -> duckdb.DuckDBPyConnection:
    """A database in memory with the views; it reads the archive's files and no others.

    Args:
        maturity: age in ms from which on an event counts with what is known of it by then.
        unlabelled_legitimate: whether a mature event without a label is legitimate; else it is left
            out of ``matured``.

    Raises:
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    database = duckdb.connect(":memory:")
    for name, table in tables.items():
        dataset = table.dataset()
        if dataset is None and name == EVENTS:
            raise ArchiveError(
                f"there is no archive at {table.url} yet: `weir archive` begins one, once events "
                "are scored"
            )
        database.register(name, _NOTHING[name] if dataset is None else dataset)
    left_out = "" if unlabelled_legitimate else "and f.label is not null"
    unlabelled = "0" if unlabelled_legitimate else "null"
    database.execute(
        _MATURED.format(maturity=int(maturity), unlabelled=unlabelled, left_out=left_out)
    )
    # From here on a query reaches no file, no network and no extension.
    database.execute("set enable_external_access = false")
    database.execute("set lock_configuration = true")
    return database


_TIME = pa.timestamp("us", "UTC")
_NOTHING = {
    SCORES: pa.table({"event_id": pa.array([], pa.int64()), "event_time": pa.array([], _TIME)}),
    LABELS: pa.table(
        {
            "event_id": pa.array([], pa.int64()),
            "label": pa.array([], pa.int8()),
            "time": pa.array([], _TIME),
        }
    ),
}
