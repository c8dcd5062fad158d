"""Small catalogues, as tests write them."""

from pathlib import Path
from typing import Any

import tomli_w


def texts(text: str, *languages: str) -> dict[str, str]:
    return dict.fromkeys(languages or ("en", "de"), text)


def entry(feature: str | None = "amount", direction: str = "high", **more: Any) -> dict[str, Any]:
    """An entry as a TOML table; a key of None is left out."""
    values = {
        "feature": feature,
        "direction": direction,
        "code": f"{feature}-{direction}",
        "analyst": texts("It is {value}, typically {typical}."),
        "customer": texts("It is unusual."),
    }
    return {key: value for key, value in (values | more).items() if value is not None}


def of_group(name: str, by: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of a group, for any value."""
    values = {"group": name, "by": by, "code": f"group-{name}", "analyst": texts("It is so.")}
    return entry(None, **({"direction": "any"} | values | more))


def catalogue(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "test",
        "version": "1",
        "languages": ["en", "de"],
        "fallback": {"code": "none", "analyst": texts("Unsure."), "customer": texts("Unusual.")},
        "entries": list(entries) or [entry()],
    } | more


def write(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path
