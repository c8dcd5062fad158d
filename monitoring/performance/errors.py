"""What goes wrong with the performance store, in words that name the fix."""

from streams.base.errors import UNAVAILABLE, WeirError


class PerformanceStoreError(WeirError):
    """The store can't do what was asked; the message says why and what to do."""


class PerformanceStoreUnavailableError(PerformanceStoreError):
    """The database does not answer, or is busy; waiting may fix that."""

    exit_code = UNAVAILABLE
