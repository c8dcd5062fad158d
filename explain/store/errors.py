"""What goes wrong with the store, in words that name the fix."""

from explain.errors import ExplainError
from streams.base.errors import UNAVAILABLE


class StoreError(ExplainError):
    """The store can't do what was asked; the message says why and what to do."""


class StoreUnavailableError(StoreError):
    """The database does not answer, or is busy; waiting may fix that."""

    exit_code = UNAVAILABLE


class TamperedError(StoreError):
    """The store is not as it was written; the message names the first place that is not."""
