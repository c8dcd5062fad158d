"""What can go wrong in the demo."""


class DemoError(Exception):
    """The demo can't go on; the message says why, and what to do."""


class PlaybackError(DemoError):
    """Answers stopped coming; the message says how many are open."""


class ScorerFailedError(DemoError):
    """The scorer ended by itself; the message holds the end of its log."""
