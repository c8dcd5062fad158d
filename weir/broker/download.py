"""One verified download: the file appears whole and right, or not at all."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from streams.base.atomic_file import atomic_file
from streams.base.masking import without_secrets
from weir.broker.errors import BrokerError

_CHUNK = 1 << 18
_TIMEOUT_S = (10.0, 60.0)
_AS_IT_IS = {"Accept-Encoding": "identity"}
_ATTEMPTS = 3
_PAUSE_S = 1.0


def fetch(url: str, target: Path, sha256: str, count: Callable[[int], None]) -> None:
    """Bring `url` (http, https or file) to `target`, calling `count` with the bytes as they come.

    Tries again after a broken connection or a server's error, not after a plain "no".

    Raises:
        BrokerError: it cannot be had, or its SHA-256 is not `sha256`.
        OSError: `target` cannot be written.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        received = 0

        def count_here(size: int) -> None:
            nonlocal received
            received += size
            count(size)

        try:
            _fetch_once(url, target, sha256, count_here)
        except _TransientError as error:
            count(-received)
            if attempt == _ATTEMPTS:
                raise BrokerError(
                    f"cannot fetch {without_secrets(url)}: {error}. Check the network and its "
                    "proxy settings, or set `broker.maven_repository` to a mirror"
                ) from error
            time.sleep(_PAUSE_S * attempt)
        else:
            return


class _TransientError(Exception):
    """It may go better next time."""


def _fetch_once(url: str, target: Path, sha256: str, count: Callable[[int], None]) -> None:
    digest = hashlib.sha256()
    with atomic_file(target, mode=0o644) as file:
        for chunk in _read(url):
            file.write(chunk)
            digest.update(chunk)
            count(len(chunk))
        if digest.hexdigest() != sha256:
            raise BrokerError(
                f"{without_secrets(url)} is not the file that Weir was built with: SHA-256 is "
                f"{digest.hexdigest()}, expected {sha256}. Do not use it; set "
                "`broker.maven_repository` to another mirror"
            )


def _read(url: str) -> Iterator[bytes]:
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        if not path.is_file():
            raise BrokerError(f"{path} is not there: check `broker.maven_repository`")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        return
    try:
        with requests.get(url, headers=_AS_IT_IS, stream=True, timeout=_TIMEOUT_S) as response:
            if response.status_code >= 500 or response.status_code == 429:
                raise _TransientError(f"the server answered {response.status_code}")
            if response.status_code != 200:
                raise BrokerError(
                    f"{without_secrets(url)}: the server answered {response.status_code} "
                    f"{response.reason}. Set `broker.maven_repository` to a repository that has it"
                )
            yield from response.iter_content(_CHUNK)
    except requests.RequestException as error:
        raise _TransientError(_reason(error)) from error


def _reason(error: requests.RequestException) -> str:
    """Return the innermost cause: the outer ones only wrap it."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(cause) or type(cause).__name__
