"""Training rows out of the archive: what models saw, and what became of it by a certain age."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from inference.packages.data_version import Champion, DataVersion
from inference.packages.package import FeatureColumns
from inference.training.train import Progress
from inference.training.training_set import TrainingError, TrainingSet
from monitoring.archive.errors import ArchiveAwayError
from monitoring.archive.table import EVENTS, LABELS, ArchiveTable
from monitoring.archive.views import KEPT, WEIGHT, open_views, snapshot

_BLOCK = 1 << 23
_MEANT = (
    "feature_schema = $schema and event_time >= make_timestamptz($start)"
    " and event_time < make_timestamptz($stop)"
)
_ROWS = 65_536
_FORM = f"""
create table chosen as
select event_time, partition, "offset", key, label, features, model,
  {KEPT} as kept, {WEIGHT} as weight, try_cast({{stake}} as double) as stake
from matured where {{meant}}
"""
_OWNERS = """
create table owners as
select key, row_number() over (order by key) as owner
from (select distinct key from chosen where kept)
"""
_COUNT = """
select count(*), count(*) filter (label = 1)
from matured where labelled is not null and {meant}
"""
_NEWEST = "select epoch_ms(max(event_time)) from events"
_LAST_US = 253_402_300_799_000_000


class Span(NamedTuple):
    """Which events are meant, and by which terms they are labelled.

    Attributes:
        start, stop: event times, UTC milliseconds, the last left out; None where it is open.
        label_delay: age in ms at which labels are taken.
        unlabelled_legitimate: whether one without a label by then is legitimate; else it is left
            out.
        left_out: spans of event times, UTC milliseconds, of which no event is meant.
    """

    start: int | None
    stop: int | None
    label_delay: int
    unlabelled_legitimate: bool
    left_out: tuple[tuple[int, int], ...] = ()

    @property
    def query(self) -> str:
        """What an event of a schema in the span fulfils, in SQL; see `asked`."""
        if not self.left_out:
            return _MEANT
        # As a table: conditions one by one take minutes where there are thousands.
        spans = ", ".join(f"({start * 1_000}, {stop * 1_000})" for start, stop in self.left_out)
        return f"""{_MEANT} and not exists (
  select 1 from (values {spans}) as broken(since, until)
  where event_time >= make_timestamptz(since::bigint)
    and event_time < make_timestamptz(until::bigint)
)"""


def read_training_rows(
    tables: Mapping[str, ArchiveTable],
    features: FeatureColumns,
    span: Span,
    progress: Progress,
    again: DataVersion | None = None,
    until: Mapping[str, int] | None = None,
    stake: str | None = None,
) -> TrainingSet:
    """Read mature events of one feature schema, in the order of time, then of Kafka's places.

    An event that was declined is left out, unless it was let through on purpose: then it stands for
    the declines that had the same chance. One that had no chance counts where it has a label.

    Args:
        again: read what this one has read, whatever was archived or compacted since.
        until: as of a `DataVersion`: read no further than that; where `again` says nothing.
        stake: the field that says what an event is about; see `TrainingSet.stakes`.

    Raises:
        TrainingError: there are no such rows.
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    said = again.until if again is not None else until
    bounds = None if said is None else bounds_of(said)
    found_now = snapshot(tables)
    database = open_views(
        found_now,
        maturity=span.label_delay,
        unlabelled_legitimate=span.unlabelled_legitimate,
        until=bounds,
    )
    try:
        progress("reading the archive", 0.0)
        ends = bounds or {name: _ends(database, name) for name in (EVENTS, LABELS)}
        form = _FORM.format(stake=_stake(found_now, stake), meant=span.query)
        database.execute(form, asked(features.schema_hash, span))
        champions = _champions(database)
        database.execute(_OWNERS)
        rows = sum(each.rows for each in champions.values())
        if not rows:
            raise TrainingError(_why_none(database, features.schema_hash, tables[EVENTS].url))
        found = _Columns.empty(rows, len(features.names))
        for done in found.fill(database, features.names):
            progress("reading the archive", done / rows)
    except duckdb.Error as error:
        raise ArchiveAwayError(f"the archive can't be read: {error}") from error
    files = {} if again is None else again.files
    if again is None:
        files = _hashed(found_now, EVENTS, _folders(features, span))
        files |= _hashed(found_now, LABELS, None)
    version = DataVersion(
        files=files,
        until=_said(ends),
        start=span.start,
        stop=span.stop,
        label_delay=span.label_delay,
        unlabelled_legitimate=span.unlabelled_legitimate,
        left_out=span.left_out,
        champions=champions,
    )
    return TrainingSet(
        matrix=found.matrix,
        labels=found.labels,
        times=found.times,
        feature_names=features.names,
        feature_definitions=features.definitions,
        feature_schema_hash=features.schema_hash,
        data_sha256=found.sha256(),
        weights=None if (found.weights == 1).all() else found.weights,
        version=version,
        keys=found.keys,
        stakes=None if stake is None else found.stakes,
    )


class _Columns(NamedTuple):
    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    times: NDArray[np.int64]
    weights: NDArray[np.float64]
    keys: NDArray[np.int64]
    stakes: NDArray[np.float64]

    @classmethod
    def empty(cls, rows: int, width: int) -> "_Columns":
        return cls(
            np.empty((rows, width), np.float32),
            np.empty(rows, np.int8),
            np.empty(rows, np.int64),
            np.empty(rows, np.float64),
            np.empty(rows, np.int64),
            np.empty(rows, np.float64),
        )

    def fill(self, database: duckdb.DuckDBPyConnection, names: tuple[str, ...]) -> Iterator[int]:
        """Fill all rows, and tell after each batch how many are."""
        query = (
            "select event_time, label, weight, features, owner, stake"
            " from chosen join owners using (key) where kept"
            ' order by event_time, partition, "offset"'
        )
        done = 0
        batches: Any = database.sql(query).to_arrow_reader(_ROWS)
        for batch in batches:
            here = slice(done, done + batch.num_rows)
            times = batch.column(0).cast(pa.int64())
            self.times[here] = times.to_numpy() // 1_000
            self.labels[here] = batch.column(1).to_numpy()
            self.weights[here] = batch.column(2).to_numpy()
            vector = batch.column(3)
            for place, name in enumerate(names):
                self.matrix[here, place] = vector.field(name).to_numpy(zero_copy_only=False)
            self.keys[here] = batch.column(4).to_numpy()
            self.stakes[here] = batch.column(5).to_numpy(zero_copy_only=False)
            done += batch.num_rows
            yield done

    def sha256(self) -> str:
        found = hashlib.sha256()
        for column in (self.matrix, self.labels, self.times, self.weights):
            found.update(column.data)
        return found.hexdigest()


class Sighted(NamedTuple):
    """What could be trained on, as far as it is known without reading it.

    Attributes:
        labels, frauds: mature events with a label, and frauds among them.
        until: up to which offsets the tables were looked at; see `DataVersion`.
        newest: the latest event time, UTC milliseconds; None where there is no event.
    """

    labels: int
    frauds: int
    until: dict[str, int]
    newest: int | None


def sight(tables: Mapping[str, ArchiveTable], schema_hash: str, span: Span) -> Sighted:
    """Count the mature events of one feature schema.

    Raises:
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    database = open_views(
        snapshot(tables),
        maturity=span.label_delay,
        unlabelled_legitimate=span.unlabelled_legitimate,
    )
    try:
        ends = {name: _ends(database, name) for name in (EVENTS, LABELS)}
        count = _COUNT.format(meant=span.query)
        labels, frauds = database.execute(count, asked(schema_hash, span)).fetchone() or (0, 0)
        (newest,) = database.execute(_NEWEST).fetchone() or (None,)
    except duckdb.Error as error:
        raise ArchiveAwayError(f"the archive can't be read: {error}") from error
    return Sighted(labels, frauds, _said(ends), newest)


def asked(schema_hash: str, span: Span) -> dict[str, Any]:
    """What a query for events of a schema in a span is given."""
    return {
        "schema": schema_hash,
        "start": 0 if span.start is None else span.start * 1_000,
        "stop": _LAST_US if span.stop is None else span.stop * 1_000,
    }


def bounds_of(said: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """By table and partition, from `DataVersion.until`."""
    bounds: dict[str, dict[int, int]] = {EVENTS: {}, LABELS: {}}
    for place, end in said.items():
        table, partition = place.split("/")
        bounds[table][int(partition)] = end
    return bounds


def _said(ends: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    return {f"{name}/{part}": end for name in ends for part, end in ends[name].items()}


def _ends(database: duckdb.DuckDBPyConnection, table: str) -> dict[int, int]:
    query = f'select partition, max("offset") + 1 from {table} group by 1 order by 1'
    return dict(database.execute(query).fetchall())


def _champions(database: duckdb.DuckDBPyConnection) -> dict[str, Champion]:
    query = (
        "select model, count(*) filter (kept), count(*) filter (not kept)"
        " from chosen group by 1 order by 1"
    )
    return {
        model: Champion(rows=rows, censored=censored)
        for model, rows, censored in database.execute(query).fetchall()
    }


def _why_none(database: duckdb.DuckDBPyConnection, schema: str, url: str) -> str:
    query = (
        "select count(*), count(*) filter (feature_schema = $schema),"
        " (select count(*) from matured where feature_schema = $schema) from events"
    )
    every, ours, mature = database.execute(query, {"schema": schema}).fetchone() or (0, 0, 0)
    return (
        f"{url} has no event to train on: of its {every:,} events {ours:,} have the features that "
        f"are declared now ({schema[:12]}), {mature:,} of these are old enough to have a label, "
        "and none of those is of this span. Ask for a longer one by --from and --to, or for a "
        "shorter --label-delay"
    )


def _stake(tables: Mapping[str, Any], field: str | None) -> str:
    """How the query says it; of events that were archived without it nothing is known."""
    schema = tables[EVENTS].schema
    has = "context" in schema.names and field in {
        each.name for each in schema.field("context").type
    }
    return '"context"."{}"'.format(str(field).replace('"', '""')) if has else "null"


def _folders(features: FeatureColumns, span: Span) -> ds.Expression:
    wanted = ds.field("feature_schema") == features.schema_hash
    if span.start is not None:
        wanted &= ds.field("date") >= _day(span.start)
    if span.stop is not None:
        wanted &= ds.field("date") <= _day(span.stop)
    return wanted


def _day(time: int) -> date:
    return datetime.fromtimestamp(time / 1_000, UTC).date()


def _hashed(tables: Mapping[str, Any], name: str, wanted: ds.Expression | None) -> dict[str, str]:
    """SHA-256 of the files of a table, if it is there, by their names below the archive."""
    if (dataset := tables.get(name)) is None:
        return {}
    found = {}
    for fragment in dataset.get_fragments(filter=wanted):
        with fragment.filesystem.open_input_stream(fragment.path) as file:
            hashed = hashlib.sha256()
            while block := file.read(_BLOCK):
                hashed.update(block)
        found[f"{name}/{fragment.path}"] = hashed.hexdigest()
    return dict(sorted(found.items()))
