"""A model's answers to archived events, beside what was known of these once they were mature."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from monitoring.archive.errors import ArchiveAwayError
from monitoring.archive.table import ArchiveTable
from monitoring.archive.training_rows import Span, asked
from monitoring.archive.views import KEPT, open_views, snapshot
from streams.spark.writing import parts_of

_JUDGED = f"""
select epoch_ms(m.event_time) as time, dense_rank() over (order by m.key) as card, m.label,
  a.score, a.probability, a.decision
from (select * from matured where label is not null and {KEPT} and {{meant}}) m
join answers a
  on a.event_id = m.event_id and a.partition = m.partition and a."offset" = m."offset"
order by m.event_time, m.partition, m."offset", m.event_id
"""


class Judged(NamedTuple):
    """Mature events, in the order of time; the columns of `evaluate`, of shape (n,).

    Attributes:
        times_ms: event times, UTC milliseconds.
        cards: whose each event is, by numbers.
        labels: 1 fraud, 0 legitimate.
        scores, probabilities, decisions: what the model and the policy say.
    """

    times_ms: NDArray[np.int64]
    cards: NDArray[np.int64]
    labels: NDArray[np.int8]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    decisions: NDArray[Any]


def read_judged(
    tables: Mapping[str, ArchiveTable], answers: Path, schema_hash: str, span: Span
) -> Judged:
    """Read what is mature and not censored, as training does, with the answers in a folder.

    What was declined when it came counts where it has a label, or was let through on purpose.

    Args:
        answers: of `ArchiveScoring`.
        schema_hash: of the features that the model reads.

    Raises:
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    parts = [str(each) for each in parts_of(answers)]  # what an executor gave up is none of them
    database = open_views(
        snapshot(tables) | {"answers": ds.dataset(parts, format="parquet")},
        maturity=span.label_delay,
        unlabelled_legitimate=span.unlabelled_legitimate,
    )
    query = _JUDGED.format(meant=span.query)
    try:
        found: Any = database.sql(query, params=asked(schema_hash, span)).to_arrow_table()
    except duckdb.Error as error:
        raise ArchiveAwayError(f"the archive can't be read: {error}") from error
    decision = found["decision"].combine_chunks().dictionary_encode()
    names = np.array(decision.dictionary.to_pylist(), object)
    return Judged(
        found["time"].to_numpy().astype(np.int64),
        found["card"].to_numpy().astype(np.int64),
        found["label"].to_numpy().astype(np.int8),
        found["score"].to_numpy(),
        found["probability"].to_numpy(),
        names[decision.indices.to_numpy()],
    )
