"""What a package's feature definitions say of each feature: unit, window, entity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OF_THE_FIELD = ("sum", "mean", "min", "max", "std", "last")


@dataclass(frozen=True)
class FeatureFacts:
    """How a feature's value is to be read.

    Attributes:
        unit: of the value; None for a count, a rate, a ratio or a part of the calendar.
        window: how long its window is, such as ``7d``; None where it has none.
        delay: how long before the event the window ends; None where it ends with the event.
        entity: the field whose events are in the window, or None.
    """

    unit: str | None = None
    window: str | None = None
    delay: str | None = None
    entity: str | None = None


def facts_of(definitions: Mapping[str, Any]) -> dict[str, FeatureFacts]:
    """Return the facts of each feature by its name.

    Args:
        definitions: of a package (`inference.package.FeatureColumns.definitions`), which are those
            of `FeaturePlan.schema`.
    """
    units = {name: field["unit"] for name, field in definitions["fields"].items()}
    return {each["name"]: _facts(each, units) for each in definitions["features"]}


def units_of(definitions: Mapping[str, Any]) -> dict[str, str]:
    """Return the unit of each feature that has one."""
    return {name: facts.unit for name, facts in facts_of(definitions).items() if facts.unit}


def _facts(feature: Mapping[str, Any], units: Mapping[str, str]) -> FeatureFacts:
    unit = None
    if feature["kind"] == "field" or feature.get("aggregate") in _OF_THE_FIELD:
        unit = units[feature["field"]] or None
    elif feature.get("aggregate") == "time_since":
        unit = "s"
    window, delay = feature.get("window"), feature.get("delay")
    return FeatureFacts(
        unit,
        _duration(window) if window else None,
        _duration(delay) if delay else None,
        feature.get("entity"),
    )


def _duration(milliseconds: int) -> str:
    """As ``weir.toml`` writes it, in the largest unit that gives a whole number."""
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"
