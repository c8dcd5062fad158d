"""Secrets in settings: shown to nobody, and read from files that others mount."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Whoever only masks, as the log does, has no use for it.
if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

HIDDEN = "**********"
_TELLING = ("password", "secret", "key.pem", "token", "jaas.config", "oauthbearer.config")
_LOGIN = re.compile(
    r"""([a-zA-Z][\w+.-]*://)      # of a URL, the scheme; and then
    (?: [^\s/?#'"<>]*              # all up to the last @ before the path
      | [^\s/@:]+:(?!\d+[/?\#])[^\s"]*  # or user:password, with / or ' in it unquoted
    )@""",
    re.VERBOSE,
)


def hide(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of Kafka or its client, with a mask in place of each secret."""
    return {
        name: HIDDEN if any(word in name for word in _TELLING) else value
        for name, value in properties.items()
    }


def without_logins(text: str) -> str:
    """A text with a mask in place of the login of each URL in it.

    >>> without_logins("http://clerk:opensesame@mlflow:5000/api failed")
    'http://***@mlflow:5000/api failed'
    """
    return _LOGIN.sub(r"\1***@", text) if "@" in text else text


def check_one_source(settings: "BaseModel", *names: str) -> None:
    """Refuse a secret that is given both as `name` and by a file, or by a file that holds none.

    Raises:
        ValueError: names the keys.
    """
    for name in names:
        file: Path | None = getattr(settings, f"{name}_file")
        if file is not None and getattr(settings, name) is not None:
            raise ValueError(f"give {name} or {name}_file, not both")
        if file is not None:
            check_secret_file(f"{name}_file", file)


def check_files(settings: "BaseModel", *names: str) -> None:
    """Refuse a path to a file that is not there.

    Raises:
        ValueError: names key and file.
    """
    for name in names:
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            raise ValueError(f"{name}: there is no file {str(path)!r}")


def secret_of(settings: "BaseModel", name: str) -> str | None:
    """The secret `name`, from wherever it is given; None if it is not."""
    value: SecretStr | None = getattr(settings, name)
    file: Path | None = getattr(settings, f"{name}_file")
    if value is not None:
        return value.get_secret_value()
    return read_secret(file) if file is not None else None


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
