"""Whether files that can carry code are to be believed."""

import os

_OTHERS_MAY_WRITE = 0o022


def distrust(state: os.stat_result) -> str:
    """Why what is in a file or folder is not believed; empty where it is."""
    if state.st_uid != os.geteuid():
        return f"belongs to user {state.st_uid}"
    if state.st_mode & _OTHERS_MAY_WRITE:
        return "may be written by others"
    return ""
