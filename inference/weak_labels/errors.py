"""What can be wrong with weak labels."""

from inference.errors import InferenceError


class WeakLabelError(InferenceError):
    """Rules can't be judged or used; the message says what is missing."""
