"""The base of every error of this room that a user can put right, and what is none."""


class ExplainError(Exception):
    """Something is wrong with an explanation or the store of them; the message names the fix."""


class StoppedError(Exception):
    """We were told to stop while we waited for what we need: whoever starts next goes on.

    Not an `ExplainError`: nothing is wrong with what waits to be explained.
    """
