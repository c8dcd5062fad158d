"""Secrets in settings, read from files that others mount; none is shown once it was read."""

from pathlib import Path
from typing import TYPE_CHECKING

from streams.base.masking import remember

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr


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
    secret = path.read_text(encoding="utf-8").strip()
    remember(secret)
    return secret
