"""How analysts' verdicts agree: with each other's, and with labels from elsewhere."""

from collections.abc import Mapping
from typing import NamedTuple

import duckdb

from monitoring.archive.errors import ArchiveAwayError
from monitoring.archive.table import LABELS, ArchiveTable
from monitoring.archive.views import columns_of, open_views, snapshot

# Of what one source says of an event, the last counts.
_QUERY = """
with said as (
  select event_id, "by" as source, max_by(label, time) as label
  from labels where event_id is not null group by all
)
select a.source, count(distinct a.event_id),
  count(b.label) filter (b.source is not null),
  count(b.label) filter (b.source is not null and b.label <> a.label),
  count(b.label) filter (b.source is null),
  count(b.label) filter (b.source is null and b.label <> a.label)
from said a left join said b on a.event_id = b.event_id and b.source is distinct from a.source
where a.source is not null
group by a.source order by 2 desc, 1
"""


class Analyst(NamedTuple):
    """One analyst's verdicts.

    Attributes:
        name: who it is.
        verdicts: events that he judged.
        shared, differed: verdicts of others on the same events; and those that are not his.
        labelled, wrong: labels from elsewhere on these events, such as chargebacks; and those that
            are not his verdict.
    """

    name: str
    verdicts: int
    shared: int
    differed: int
    labelled: int
    wrong: int


def analysts(tables: Mapping[str, ArchiveTable]) -> list[Analyst]:
    """All analysts, those of most verdicts first; none in an archive from before they were kept.

    Raises:
        ArchiveAwayError: the store does not answer.
        ArchiveError: nothing was ever archived.
    """
    database = open_views(snapshot(tables), maturity=0, unlabelled_legitimate=True)
    try:
        if "by" not in columns_of(database, LABELS):
            return []
        return [Analyst(*row) for row in database.execute(_QUERY).fetchall()]
    except duckdb.Error as error:
        raise ArchiveAwayError(f"the archive can't be read: {error}") from error
