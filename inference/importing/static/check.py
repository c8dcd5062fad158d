"""What an import found out."""

from typing import NamedTuple


class Check(NamedTuple):
    """One thing that was looked at, and what was found."""

    name: str
    found: str
