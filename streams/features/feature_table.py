"""Features as a table: what `weir features` writes, on one machine or many."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.features.plan import FeaturePlan
from streams.files.columns import UNLABELLED

_ID_TYPES = {"int": pa.int64(), "string": pa.large_string()}


class FeatureTable(NamedTuple):
    """The columns that are written, and how.

    Attributes:
        plan: of the features.
        label_field: the label column's name, None where it is left out.
        as_served: features as float32, which is what a model gets; else float64.
        metadata: of the file.
    """

    plan: FeaturePlan
    label_field: str | None
    as_served: bool
    metadata: dict[str, str]

    @property
    def contract(self) -> EventContract:
        """That of the events."""
        return self.plan.contract

    def check_names(self) -> None:
        """Refuse features that are called as another column.

        Raises:
            ValueError: one is.
        """
        contract = self.contract
        columns = ((contract.id, "id"), (contract.time, "time"), (self.label_field, "label"))
        for name, role in columns:
            if name in self.plan.names:
                raise ValueError(
                    f"features: {name!r} is also the name of the {role} column of the file to be "
                    "written: rename the feature"
                )

    @property
    def kind(self) -> type[np.float32] | type[np.float64]:
        """Of the features."""
        return np.float32 if self.as_served else np.float64

    @property
    def schema(self) -> Any:
        """The schema of Arrow."""
        contract = self.contract
        fields = [
            pa.field(contract.id, _ID_TYPES[contract.fields[contract.id].type]),
            pa.field(contract.time, pa.timestamp("ms", tz="UTC")),
            *(pa.field(name, pa.from_numpy_dtype(self.kind)) for name in self.plan.names),
        ]
        if self.label_field is not None:
            fields.append(pa.field(self.label_field, pa.int8()))
        return pa.schema(fields, metadata=self.metadata)

    def rows(
        self,
        ids: Any,
        times: NDArray[np.int64],
        matrix: NDArray[np.float64],
        labels: NDArray[np.int8],
    ) -> Any:
        """A table of n events, of features of shape (n, k)."""
        schema = self.schema
        columns = [
            ids,
            pa.array(times, schema.field(1).type),
            *(pa.array(column) for column in matrix.T.astype(self.kind)),
        ]
        if self.label_field is not None:
            columns.append(pa.array(labels, mask=labels == UNLABELLED))
        return pa.Table.from_arrays(columns, schema=schema)


def said_of(late: int, approximate: int) -> dict[str, str]:
    """Metadata that are known once all rows are: how many are late and approximate."""
    return {"weir.late_events": str(late), "weir.approximate_events": str(approximate)}


def metadata_of(plan: FeaturePlan, sha256: str, label_delay_ms: int) -> dict[str, str]:
    """What is known before: of which features and events they are."""
    return {
        "weir.feature_schema_hash": plan.schema_hash,
        "weir.events_sha256": sha256,
        "weir.label_delay_ms": str(label_delay_ms),
    }
