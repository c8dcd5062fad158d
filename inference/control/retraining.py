"""What people say to the retraining controller, on the control topic."""

from inference.control.commands import Author, ControlEntry, Remark

RETRAINING = "retraining"
"""The key of the record, and what a key of `signing.trusted_keys` may do."""


class RetrainingCommand(ControlEntry):
    """Under `RETRAINING`: whether the controller may decide jobs, and whether one is asked for.

    Attributes:
        paused: it decides no job by itself.
        asked: when somebody last asked for a job, UTC milliseconds; 0 where nobody has.
        by, note, at: who said so, why, and when, UTC milliseconds.
    """

    paused: bool = False
    asked: int = 0
    by: Author
    note: Remark = ""
    at: int
