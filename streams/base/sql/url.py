"""The URL of a database, as settings have it."""

import ssl
from typing import TYPE_CHECKING, Any

# Settings are read by every command, and few ask a database.
if TYPE_CHECKING:
    from sqlalchemy import URL

_TLS = ("disable", "prefer", "require", "verify-full")


def read_url(text: str) -> tuple["URL", dict[str, Any]]:
    """Where the database is, and the driver's further options.

    Raises:
        ValueError: the URL is none, or of another kind of database.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # not chained: it shows the URL
        raise ValueError(
            "url is none: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise ValueError(f"url: {kind} is not supported: use sqlite:///FILE or postgresql://…")
    if kind == "sqlite":
        return url.set(drivername="sqlite"), {}
    return _postgresql(url)


def _postgresql(url: "URL") -> tuple["URL", dict[str, Any]]:
    """The URL for our driver, which takes TLS as an object and not by name."""
    mode = url.query.get("sslmode", "prefer")
    root = url.query.get("sslrootcert")
    if mode not in _TLS:
        raise ValueError(f"url: sslmode is one of {', '.join(_TLS)}")
    unknown = set(url.query) - {"sslmode", "sslrootcert"}
    if unknown:
        raise ValueError(f"url: {min(unknown)} is not supported: only sslmode and sslrootcert are")
    plain = url.set(drivername="postgresql+pg8000", query={})
    if mode in ("disable", "prefer"):
        return plain, {"ssl_context": False if mode == "disable" else None}
    try:
        context = ssl.create_default_context(cafile=str(root) if root else None)
    except OSError as error:
        raise ValueError(f"url: sslrootcert = {root!r}: {error}") from error
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return plain, {"ssl_context": context}
