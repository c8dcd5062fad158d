"""Who gives a command, and why: in so many characters."""

import getpass
from collections.abc import Callable

import typer

from weir.config.errors import SettingsError

LONGEST_BY = 200
LONGEST_NOTE = 2_000
"""Characters: they stand in records and in the audit's chain for good."""


def at_most(longest: int) -> Callable[[str | None], str | None]:
    """What an option calls back, so that it takes no longer text than this."""

    def check(text: str | None) -> str | None:
        if text is not None and len(text) > longest:
            raise typer.BadParameter(f"it has {len(text):,} characters: write at most {longest:,}")
        return text

    return check


def login_or(by: str | None) -> str:
    """Who was named, else the name of this login.

    Raises:
        SettingsError: the login has no name, as in a container that runs under a number.
    """
    try:
        return by or getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingsError(
            "this login has no name: say who you are with --by, or in the variable LOGNAME"
        ) from error
