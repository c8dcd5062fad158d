"""Who gives a command."""

import getpass

from weir.config.errors import SettingsError


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
