"""A request to a process's HTTP port, and its answer."""

import logging
import re
import ssl
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from weir.services.http.routes import Answer, Page, Request, page_at

if TYPE_CHECKING:
    from weir.services.http.port import Server

logger = logging.getLogger(__name__)

_LONGEST_REQUEST = 16_384
"""Bytes, of its line and its headers."""
_LONGEST_BODY = 32_768
_LENGTH = re.compile("[0-9]{1,9}")
_NO_TOKEN = (
    "nobody may act here: set metrics.token_file, or WEIR_METRICS__TOKEN, and start this process "
    "anew; then send Authorization: Bearer TOKEN\n"
)
_WRONG_TOKEN = "it takes Authorization: Bearer TOKEN, with that of metrics.token_file\n"
_NOTHING_RUNS = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of a page in a browser: it shows what it holds, whatever strangers wrote into it."""


class _Bounded:
    """A request: its lines, up to the bytes that they may hold, and its body."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self._left = _LONGEST_REQUEST

    def readline(self, limit: int) -> bytes:
        """A line; raises what `http.server` answers with 431."""
        line = self._file.readline(min(limit, self._left))
        self._left -= len(line)
        if not self._left:
            raise LineTooLong("request")
        return line

    def read(self, length: int) -> bytes:
        """So many bytes, or fewer where no more came."""
        return self._file.read(length)

    def close(self) -> None:
        self._file.close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request, and ends."""

    server: "Server"
    server_version = "weir"
    sys_version = ""

    def setup(self) -> None:
        """Make ready to read, after TLS's handshake."""
        self.request.settimeout(self.server.bounds.idle_s)
        super().setup()
        self.rfile = _Bounded(self.rfile)  # type: ignore[assignment]
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()

    def do_GET(self) -> None:
        """Answer, as all of these do."""
        self.server.is_answered(self.request)
        path, query = self._asked()
        if not self._may_ask(path):
            self._turn_away("it takes a login or a certificate\n")
            return
        found = page_at(self.server.pages, path)
        if found is not None:
            self._answer(found[0], Request(query, self.headers.get("Accept", ""), found[1]))
        elif page_at(self.server.acts, path) is not None:
            self._send(_plain(HTTPStatus.METHOD_NOT_ALLOWED, "POST only\n"), allow="POST")
        else:
            paths = ", ".join(sorted(self.server.pages))
            self._send(_plain(HTTPStatus.NOT_FOUND, f"there is no such page; there are {paths}\n"))

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Let somebody act who brings the token."""
        path, query = self._asked()
        found = page_at(self.server.acts, path)
        if found is None:
            self._refuse()
            return
        door, length = self.server.door, self.headers.get("Content-Length", "")
        if door.token is None:
            self._send(_plain(HTTPStatus.FORBIDDEN, _NO_TOKEN))
        elif not door.lets_act(self.headers.get("Authorization", ""), self._has_certificate()):
            self._turn_away(_WRONG_TOKEN)
        elif not _LENGTH.fullmatch(length):
            self._send(_plain(HTTPStatus.LENGTH_REQUIRED, "say Content-Length, in bytes\n"))
        elif int(length) > _LONGEST_BODY:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self._send(_plain(status, f"send at most {_LONGEST_BODY:,} bytes\n"))
        else:
            body = self.rfile.read(int(length))
            self.server.is_answered(self.request)
            self._answer(found[0], Request(query, "", found[1], body))

    def _asked(self) -> tuple[str, dict[str, str]]:
        """Path and query; of what is no URL, a path that nothing has."""
        try:
            parts = urlsplit(self.path)
            return parts.path, {key: values[-1] for key, values in parse_qs(parts.query).items()}
        except ValueError:
            return "", {}

    def _answer(self, page: Page, request: Request) -> None:
        try:
            answer = page(request)
        except Exception:
            logger.exception("answering a request for %s failed", self._asked()[0])
            answer = _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed; the log says why\n")
        self._send(answer)

    def _may_ask(self, path: str) -> bool:
        authorization = self.headers.get("Authorization", "")
        return self.server.door.lets_in(path, authorization, self._has_certificate())

    def _has_certificate(self) -> bool:
        return isinstance(self.request, ssl.SSLSocket) and bool(self.request.getpeercert())

    def _turn_away(self, why: str) -> None:
        self.server.count("login")
        self._send(_plain(HTTPStatus.UNAUTHORIZED, why))

    def _refuse(self) -> None:
        self._send(_plain(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only\n"), "GET, HEAD")

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _send(self, answer: Answer, allow: str = "") -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _NOTHING_RUNS)
        self.send_header("X-Content-Type-Options", "nosniff")
        if allow:
            self.send_header("Allow", allow)
        if answer.status is HTTPStatus.UNAUTHORIZED and self.command == "POST":
            self.send_header("WWW-Authenticate", 'Bearer realm="weir"')
        elif answer.status is HTTPStatus.UNAUTHORIZED and self.server.door.login is not None:
            self.send_header("WWW-Authenticate", 'Basic realm="weir", charset="UTF-8"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say what was asked for, to whoever wants to hear it."""
        logger.debug(format, *args)


def _plain(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", text.encode())
