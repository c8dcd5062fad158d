"""Secrets in settings: shown to nobody, and read from files that others mount."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN = "**********"
_TELLING = ("password", "secret", "key.pem", "token", "jaas.config", "oauthbearer.config")


def hide(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of Kafka or its client, with a mask in place of each secret."""
    return {
        name: HIDDEN if any(word in name for word in _TELLING) else value
        for name, value in properties.items()
    }


def check_secret_file(key: str, path: Path) -> None:
    """Refuse a file that holds no secret.

    Raises:
        ValueError: it is missing, unreadable or empty; the message names key and file.
    """
    if not path.is_file():
        raise ValueError(f"{key}: there is no file {str(path)!r}")
    try:
        text = read_secret(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{key}: {str(path)!r} can't be read: {error}") from error
    if not text:
        raise ValueError(f"{key}: the file {str(path)!r} is empty: write the secret into it")


def read_secret(path: Path) -> str:
    """The secret in a file, without the line end that editors add."""
    return path.read_text(encoding="utf-8").strip()
