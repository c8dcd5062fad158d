"""The base of every error of this room that a user can put right."""

from streams.base.errors import WeirError


class InferenceError(WeirError):
    """Something is wrong with a model, a package or a setting; the message names the fix."""
