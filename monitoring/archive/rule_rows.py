"""What analysts' rules say of the archive's events, mature and young."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from inference.packages.package import FeatureColumns
from inference.weak_labels.voted_rows import VotedRows
from inference.weak_labels.votes import votes
from monitoring.archive.errors import ArchiveAwayError
from monitoring.archive.table import EVENTS, ArchiveTable
from monitoring.archive.training_rows import Span, asked
from monitoring.archive.views import KEPT, WEIGHT, columns_of, open_views, snapshot
from streams.events.label_rules import LabelRule

_ROWS = 65_536
_QUERY = """
select * from (
  select true as mature, event_time, label, {weight} as weight, {columns}
  from matured where {kept} and {ours}
  union all by name
  select false as mature, event_time, label, 1.0 as weight, {columns} from young where {ours}
) order by mature desc, event_time, partition, "offset"
"""


def read_votes(
    tables: Mapping[str, ArchiveTable],
    rules: Sequence[LabelRule],
    features: FeatureColumns,
    span: Span,
    until: Mapping[str, Mapping[int, int]] | None = None,
) -> Iterator[VotedRows]:
    """Ask the rules about all events of one feature schema, mature ones first, in order of time.

    Mature events are those that are trained on, with their weights.

    Args:
        until: see `open_views`.

    Raises:
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    database = open_views(
        snapshot(tables),
        maturity=span.label_delay,
        unlabelled_legitimate=span.unlabelled_legitimate,
        until=until,
    )
    there = columns_of(database, EVENTS)
    columns = ["event_id", "key", "decision", "probability", "features", "partition", '"offset"']
    columns += ["context"] if "context" in there else []
    if "approve_through" not in there:
        columns.append("null::double as approve_through")
    query = _QUERY.format(kept=KEPT, weight=WEIGHT, ours=span.query, columns=", ".join(columns))
    try:
        batches: Any = database.sql(
            query, params=asked(features.schema_hash, span)
        ).to_arrow_reader(_ROWS)
        for batch in batches:
            mature = batch.column("mature").to_numpy(zero_copy_only=False)
            edge = int(mature.sum())
            for part in (batch.slice(0, edge), batch.slice(edge)):
                if part.num_rows:
                    yield _voted(part, rules, features.names)
    except duckdb.Error as error:
        raise ArchiveAwayError(f"the archive can't be read: {error}") from error


def _voted(batch: pa.RecordBatch, rules: Sequence[LabelRule], names: tuple[str, ...]) -> VotedRows:
    vector = batch.column("features")
    along = batch.column("context") if "context" in batch.schema.names else None
    known = set() if along is None else {field.name for field in along.type}

    def column(name: str) -> pa.Array:
        if name in names:
            return vector.field(name)
        if along is not None and name in known:
            return along.field(name)
        return pa.nulls(batch.num_rows, pa.string())

    matrix = np.empty((batch.num_rows, len(names)), np.float32)
    for place, name in enumerate(names):
        matrix[:, place] = vector.field(name).to_numpy(zero_copy_only=False)
    labels = batch.column("label").fill_null(-1).to_numpy(zero_copy_only=False)
    return VotedRows(
        mature=batch.column("mature")[0].as_py(),
        times=batch.column("event_time").cast(pa.int64()).to_numpy() // 1_000,
        votes=votes(rules, column, batch.num_rows),
        labels=labels.astype(np.int8),
        weights=batch.column("weight").to_numpy(zero_copy_only=False),
        matrix=matrix,
        answers=batch.select(["event_id", "key", "event_time", "decision", "probability"]),
    )
