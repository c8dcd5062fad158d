"""What features are made of, and how far back they look."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Memory:
    """What a feature is made of.

    Attributes:
        field: of the event.
        span: how far back it looks, ms; 0 where it is the event's own value.
    """

    field: str
    span: int


def memories(definitions: Mapping[str, Any]) -> dict[str, Memory]:
    """Of the features that are made of a field, by name, as a package declares them."""
    return {
        each["name"]: Memory(each["field"], each.get("window", 0) + each.get("delay", 0))
        for each in definitions.get("features", ())
        if each.get("field") is not None
    }
