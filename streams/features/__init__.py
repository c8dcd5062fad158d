"""Features of an event: declared in `weir.toml`, computed exactly in event time.

`FeatureState` computes them, and is imported from `streams.features.state`: it brings numba, which
takes seconds that settings and most commands have no use for.
"""

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

__all__ = [
    "CalendarFeature",
    "CorruptStateError",
    "DumpMismatchError",
    "FeatureDeclaration",
    "FeaturePlan",
    "FeatureRows",
    "FieldFeature",
    "HistoryRatioFeature",
    "LabelFeature",
    "WindowFeature",
]
