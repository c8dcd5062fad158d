"""A process's HTTP port: a few pages, for whoever watches it.

It must not hurt the process that it is about, whoever connects: connections are bounded in number
and in time, and so is what a request may hold. Where there are too many, one that has asked for
nothing yet gives way, so that a probe gets through; if all are being answered, the new one is
refused.
"""

import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from socketserver import TCPServer
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from weir.services.http.door import Door

logger = logging.getLogger(__name__)

_TICK_S = 0.2
_WITHOUT_FILES_S = 0.2
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LONGEST_REQUEST = 16_384
"""Bytes, of its line and its headers."""


class Bounds(NamedTuple):
    """What all who connect may take together, and what each of them.

    Attributes:
        connections: that are open at a time.
        idle_s: how long a connection may be silent, in seconds.
        longest_s: how long it may last, from its first byte to the last of the answer: one request
            is all it gets.
    """

    connections: int = 16
    idle_s: float = 5.0
    longest_s: float = 15.0


class Request(NamedTuple):
    """What a page may look at: the last value of each key of the query, and what is accepted."""

    query: Mapping[str, str]
    accept: str


class Answer(NamedTuple):
    """What a page says."""

    status: HTTPStatus
    content_type: str
    body: bytes


Page = Callable[[Request], Answer]


@contextmanager
def answering(
    host: str,
    port: int,
    pages: Mapping[str, Page],
    door: Door = Door(),
    bounds: Bounds = Bounds(),
    count: Callable[[str], None] = lambda reason: None,
) -> Iterator[str]:
    """Answer requests for pages, by their paths, in threads, during the block.

    Args:
        port: 0 chooses a free one.
        door: who may ask.
        count: called with the reason for each connection that was refused or cut off: ``full``,
            ``displaced``, ``slow`` or ``login``.

    Yields:
        The address to ask, such as ``http://127.0.0.1:9464``.

    Raises:
        OSError: the port can't be had.
    """
    server = _Server(host, port, pages, door, bounds, count)
    serving = Thread(target=server.serve_forever, args=(_TICK_S,), name="http port", daemon=True)
    serving.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"{'http' if door.tls is None else 'https'}://{shown}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        pages: Mapping[str, Page],
        door: Door,
        bounds: Bounds,
        count: Callable[[str], None],
    ) -> None:
        self.pages, self.door, self.bounds, self.count = pages, door, bounds, count
        self._since: dict[socket.socket, float] = {}
        self._answered: set[socket.socket] = set()
        self._open = 0
        self._lock = Lock()
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        """Bind, without asking for our own name, for which a broken resolver takes seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where no file is left for it, don't ask again at once for ever."""
        try:
            request, address = super().get_request()
        except OSError as error:
            if error.errno in _NO_ROOM:
                with self._lock:
                    self._displace()
                sleep(_WITHOUT_FILES_S)
            raise
        if self.door.tls is not None:
            # Here nothing is read: the thread of the connection does that.
            request = self.door.tls.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
        return request, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is room for one more."""
        most = self.bounds.connections
        with self._lock:
            # One that was cut off takes a moment to end.
            room = self._open < 2 * most and (len(self._since) < most or self._displace())
            self._open += 1
            if room:
                self._since[request] = monotonic()
        if room:
            super().process_request(request, client_address)
        else:
            self.count("full")
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open -= 1
            self._since.pop(request, None)
            self._answered.discard(request)
        super().shutdown_request(request)

    def is_answered(self, request: socket.socket) -> None:
        """Note that a connection has brought its request: it no longer gives way to others."""
        with self._lock:
            self._answered.add(request)

    def service_actions(self) -> None:
        """Cut off those who take too long, at each tick."""
        with self._lock:
            for request, since in list(self._since.items()):
                if monotonic() - since > self.bounds.longest_s:
                    self._cut_off(request, "slow")

    def _displace(self) -> bool:
        """Cut off the oldest that has asked for nothing yet; whether there is one."""
        waiting = next((each for each in self._since if each not in self._answered), None)
        if waiting is not None:
            self._cut_off(waiting, "displaced")
        return waiting is not None

    def _cut_off(self, request: socket.socket, reason: str) -> None:
        del self._since[request]
        self.count(reason)
        with suppress(OSError):  # wakes its thread, which closes it
            # Not TLS's own, under which its thread would find itself without TLS.
            socket.socket.shutdown(request, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing that a client does is worth more than a word."""
        logger.debug("a connection of %s broke", client_address, exc_info=True)


class _Bounded:
    """The lines of a request, up to the bytes that it may hold."""

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

    def close(self) -> None:
        self._file.close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
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
        try:
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        except ValueError:
            self._send(_plain(HTTPStatus.BAD_REQUEST, "that is no path\n"))
            return
        if not self._may_ask(parts.path):
            self.server.count("login")
            self._send(_plain(HTTPStatus.UNAUTHORIZED, "it takes a login or a certificate\n"))
            return
        page = self.server.pages.get(parts.path)
        if page is None:
            paths = ", ".join(sorted(self.server.pages))
            self._send(_plain(HTTPStatus.NOT_FOUND, f"there is no such page; there are {paths}\n"))
            return
        try:
            answer = page(Request(query, self.headers.get("Accept", "")))
        except Exception:
            logger.exception("answering a request for %s failed", parts.path)
            answer = _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed; the log says why\n")
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815

    def _may_ask(self, path: str) -> bool:
        request = self.request
        has_certificate = isinstance(request, ssl.SSLSocket) and bool(request.getpeercert())
        authorization = self.headers.get("Authorization", "")
        return self.server.door.lets_in(path, authorization, has_certificate)

    def _refuse(self) -> None:
        self._send(_plain(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only\n"))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if answer.status is HTTPStatus.UNAUTHORIZED and self.server.door.login is not None:
            self.send_header("WWW-Authenticate", 'Basic realm="weir", charset="UTF-8"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say what was asked for, to whoever wants to hear it."""
        logger.debug(format, *args)


def _plain(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", text.encode())
