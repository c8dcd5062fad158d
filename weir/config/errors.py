"""What a command says to its user: settings that are wrong, a demo that can't go on."""

from streams.base.errors import WRONG_USE, WeirError


class SettingsError(WeirError):
    """The settings are wrong; the message names file, key and fix."""

    exit_code = WRONG_USE


class DemoError(WeirError):
    """The demo can't go on; the message says why, and what to do."""


class PlaybackError(DemoError):
    """Answers stopped coming; the message says how many are open."""


class ScorerFailedError(DemoError):
    """The scorer ended by itself; the message holds the end of its log."""
