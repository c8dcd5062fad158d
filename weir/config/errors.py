"""What a command says to its user: settings that are wrong, a demo that can't go on."""


class SettingsError(Exception):
    """The settings are wrong; the message names file, key and fix."""


class DemoError(Exception):
    """The demo can't go on; the message says why, and what to do."""


class PlaybackError(DemoError):
    """Answers stopped coming; the message says how many are open."""


class ScorerFailedError(DemoError):
    """The scorer ended by itself; the message holds the end of its log."""
