"""Features of an event: declared in `weir.toml`, computed exactly in event time."""

from streams.features.declarations import (
    CalendarFeature,
    FeatureDeclaration,
    FieldFeature,
    HistoryRatioFeature,
    LabelFeature,
    WindowFeature,
)
from streams.features.dump_format import CorruptStateError, DumpMismatchError
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.features.state import FeatureState, LabelBatch

__all__ = [
    "CalendarFeature",
    "CorruptStateError",
    "DumpMismatchError",
    "FeatureDeclaration",
    "FeaturePlan",
    "FeatureRows",
    "FeatureState",
    "FieldFeature",
    "HistoryRatioFeature",
    "LabelBatch",
    "LabelFeature",
    "WindowFeature",
]
