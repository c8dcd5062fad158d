"""What can be wrong with the archive."""

from streams.base.errors import UNAVAILABLE, WeirError


class ArchiveError(WeirError):
    """The archive can't be used; the message says what to change."""


class ArchiveAwayError(WeirError):
    """Its store does not answer, or has no room: trying again may help."""

    exit_code = UNAVAILABLE


class ArchiveConflictError(WeirError):
    """Another worker has archived rows of the same partitions meanwhile."""


class ChangedMeanwhileError(ArchiveAwayError):
    """Somebody else has changed the table, and our change does not go with that: try again."""
