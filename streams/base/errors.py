"""The base of all errors that a user can act on, and the exit codes that commands end with."""

from typing import ClassVar

FAILED = 1
WRONG_USE = 2
UNAVAILABLE = 3
FENCED = 4
HISTORY_MISSING = 5
STOPPED = 130
"""Exit codes: something went wrong; wrong settings or arguments; Kafka or the store does not
answer, or does not let us in; another scorer took over; input that the state needs has expired;
stopped by Ctrl-C or SIGTERM before the end."""


class WeirError(Exception):
    """Ends a command with one message for its user, never with a stack trace.

    What only a caller of ours learns, and handles, does not derive from it.

    Attributes:
        exit_code: what the command ends with; a class that says nothing has its base's.
    """

    exit_code: ClassVar[int] = FAILED
