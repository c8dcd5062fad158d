"""SQL over the archive, in DuckDB: views of its tables, and of mature and of young events."""

from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from monitoring.archive.errors import ArchiveError
from monitoring.archive.table import EVENTS, LABELS, SCORES, ArchiveTable

_COMPLETE = """
create view complete as
-- Up to when all is known: a replay of months in minutes has no other clock.
-- Without a label nothing is; least() would pass over that.
select least(e.last, l.last) as at
from (select max(event_time) as last from events) e,
     (select max(time) as last from labels) l
where l.last is not null
"""
_MATURED = """
create view matured as
with known as (
  select event_id, label, time from labels where event_id is not null
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

# Of what one source says of a young event, the last counts; where sources differ, nobody knows yet.
_YOUNG = """
create view young as
with said as (
  select event_id, {by} as source, max_by(label, time) as label, max(time) as labelled
  from labels where event_id is not null group by all
), known as (
  select event_id, min(label) as low, max(label) as high, max(labelled) as labelled
  from said group by event_id
)
select e.*, case when k.low = k.high then k.low end::tinyint as label, k.labelled
from events e left join known k using (event_id), complete
where e.event_time + to_milliseconds({maturity}) > complete.at
"""

# What was declined has a label only by chance, or by somebody's choice. Declines that were let
# through stand for all that had their chance; where one had none, its label counts if it came.
KEPT = """
(decision <> 'decline' or (labelled is not null and coalesce(approve_through, 0) = 0))
"""
WEIGHT = """
(case when decision <> 'decline' and approve_through > 0 then 1 / approve_through::double else 1.0
 end)
"""

_EARLIER = 'create view {name} as select * from all_{name} where "offset" < {ends}'


def snapshot(tables: Mapping[str, ArchiveTable]) -> dict[str, Any]:
    """Datasets of the tables that are there, as they stand now.

    What is written later does not change them; files that are replaced stay for ``archive.undo``.

    Raises:
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    events = tables[EVENTS].dataset()
    if events is None:
        raise ArchiveError(
            f"there is no archive at {tables[EVENTS].url} yet: `weir archive` begins one, once "
            "events are scored"
        )
    others = {name: tables[name].dataset() for name in (SCORES, LABELS)}
    there = {name: dataset for name, dataset in others.items() if dataset is not None}
    return {EVENTS: events} | there


def open_views(
    tables: Mapping[str, Any],
    *,
    maturity: int,
    unlabelled_legitimate: bool,
    until: Mapping[str, Mapping[int, int]] | None = None,
) -> duckdb.DuckDBPyConnection:
    """A database in memory with the views; it reads the archive's files and no others.

    Args:
        tables: see `snapshot`.
        maturity: age in ms from which on an event counts with what is known of it by then.
        unlabelled_legitimate: whether a mature event without a label is legitimate; else it is left
            out of ``matured``.
        until: up to which offset of each partition of a table its rows are there; all of a table
            that is not named, and none of a partition that is not.
    """
    database = duckdb.connect(":memory:")
    found = _nothing(tables[EVENTS].schema.field("event_id").type) | dict(tables)
    for name, rows in found.items():
        if until is None or name not in until:
            database.register(name, rows)
        else:
            database.register(f"all_{name}", rows)
            database.execute(_EARLIER.format(name=name, ends=_ends(until[name])))
    left_out = "" if unlabelled_legitimate else "and f.label is not null"
    unlabelled = "0" if unlabelled_legitimate else "null"
    database.execute(_COMPLETE)
    by = '"by"' if "by" in columns_of(database, LABELS) else "''"
    database.execute(_YOUNG.format(maturity=int(maturity), by=by))
    database.execute(
        _MATURED.format(maturity=int(maturity), unlabelled=unlabelled, left_out=left_out)
    )
    # From here on a query reaches no file, no network and no extension.
    database.execute("set enable_external_access = false")
    database.execute("set lock_configuration = true")
    return database


def columns_of(database: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    """Names of a view's columns."""
    return [name for name, *_ in database.execute(f"describe {view}").fetchall()]


def _ends(until: Mapping[int, int]) -> str:
    each = " ".join(f"when {int(partition)} then {int(end)}" for partition, end in until.items())
    return f"case partition {each} else 0 end" if each else "0"


def _nothing(id_type: pa.DataType) -> dict[str, Any]:
    """What stands for tables that are not there yet, with ids of the events' kind."""
    ids, times = pa.array([], id_type), pa.array([], pa.timestamp("us", "UTC"))
    known = {"label": pa.array([], pa.int8()), "time": times, "by": pa.array([], pa.string())}
    places = {"partition": pa.array([], pa.int32()), "offset": pa.array([], pa.int64())}
    return {
        SCORES: pa.table({"event_id": ids, "event_time": times} | places),
        LABELS: pa.table({"event_id": ids} | known | places),
    }
