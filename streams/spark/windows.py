"""What executors compute: a bucket of entities, in the order of time, by the scorer's kernels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.base import compiled_code
from streams.features.offline import compute_features, new_rows
from streams.features.plan import FeaturePlan
from streams.features.window_settings import WindowSettings
from streams.spark.columns import APPROXIMATE, LABEL, LATE, events_of, feature_column, in_order

GHOST = "ghost"
"""Marks an event of another bucket that has the id of one of this bucket: a label goes by the id,
and to the later of the two. It is taken in, and its features are left to its own bucket."""


@dataclass(frozen=True)
class EntityFeatures:
    """The features of one entity, or those of the event alone.

    Attributes:
        plan: of these features only.
        places: theirs in the whole vector.
        label_delay_ms: how long after its event a label becomes known.
        compiled: where compiled code is kept, as `compiled_code.keep_in` has it.
    """

    plan: FeaturePlan
    places: tuple[int, ...]
    label_delay_ms: int
    windows: WindowSettings
    compiled: Path

    @property
    def entity(self) -> str:
        """Whose windows these are."""
        return self.plan.entities[0].entity

    def append_to(self, table: Any) -> Any:
        """Append the features, and what was late or approximate, to a bucket's events.

        Args:
            table: all events of some values of the entity, in any order.
        """
        compiled_code.keep_in(self.compiled)
        contract = self.plan.contract
        table = in_order(contract, table)
        file = events_of(contract, table, LABEL)
        found = list(compute_features(file, self.plan, self.label_delay_ms, windows=self.windows))
        matrix = np.concatenate([rows.matrix for rows in found])
        for name, flags in (
            (LATE, np.concatenate([rows.late for rows in found])),
            (APPROXIMATE, np.concatenate([rows.approximate for rows in found])),
        ):
            if name in table.column_names:
                flags = flags | table[name].to_numpy()
                table = table.drop_columns(name)
            table = table.append_column(name, pa.array(flags))
        for place, column in zip(self.places, matrix.T, strict=True):
            table = table.append_column(feature_column(place), pa.array(column))
        if GHOST in table.column_names:
            table = table.filter(pc.invert(table[GHOST]))
        return table


def split_by_entity(
    plan: FeaturePlan, label_delay_ms: int, windows: WindowSettings, compiled: Path
) -> tuple[list[EntityFeatures], EntityFeatures | None]:
    """The features of each entity, and those of the event alone, None where there are none.

    An entity's features depend on its own events only: on many machines as on one.
    """

    def of(entity: str | None) -> EntityFeatures | None:
        chosen = [
            (place, each)
            for place, each in enumerate(plan.declarations)
            if getattr(each, "entity", None) == entity
        ]
        if not chosen:
            return None
        places, declarations = zip(*chosen, strict=True)
        part = FeaturePlan(declarations, plan.contract)
        return EntityFeatures(part, places, label_delay_ms, windows, compiled)

    entities = [found for each in plan.entities if (found := of(each.entity))]
    return entities, of(None)


def new_events(plan: FeaturePlan, table: Any) -> Any:
    """A bucket of ids without what the stream would leave out as repeats (``event.deduplicate``).

    Args:
        table: all events of some ids, in any order.
    """
    table = in_order(plan.contract, table)
    new = new_rows(events_of(plan.contract, table, LABEL))
    return table if new is None else table.filter(pa.array(new))
