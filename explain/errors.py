"""The base of every error of this room that a user can put right."""

from streams.base.errors import WeirError


class ExplainError(WeirError):
    """Something is wrong with an explanation or the store of them; the message names the fix."""
