"""The kinds of change that there are, of a feature or of the stream."""

from enum import StrEnum


class Kind(StrEnum):
    """Kinds, the first one first where several are found. Values stand in alerts."""

    SCHEMA = "schema"
    DEAD_LETTERS = "dead_letters"
    SILENT_PRODUCER = "silent_producer"
    SILENT_PARTITION = "silent_partition"
    NULLS = "nulls"
    UNIT_CHANGE = "unit_change"
    STUCK = "stuck"
    NEW_RANGE = "new_range"
    NEW_CATEGORY = "new_category"
    COVARIATE_SHIFT = "covariate_shift"
    CROWD = "crowd"
    VARIATIONS = "variations"

    @property
    def is_breakage(self) -> bool:
        """Whether data is broken: it pages, and blocks retraining. The others warn."""
        return self not in (Kind.NEW_CATEGORY, Kind.COVARIATE_SHIFT, Kind.CROWD, Kind.VARIATIONS)
