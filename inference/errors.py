"""The base of every error of this room that a user can put right."""


class InferenceError(Exception):
    """Something is wrong with a model, a package or a setting; the message names the fix."""
