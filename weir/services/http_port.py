"""A process's HTTP port: a few pages, for whoever watches it.

It must not hurt the process that it is about, whoever connects: connections are bounded in number
and in time, and where there are too many the oldest is cut off, so that a probe gets through.
"""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

logger = logging.getLogger(__name__)

_MOST_CONNECTIONS = 32
_IDLE_S = 5.0
_LONGEST_S = 15.0
"""Of a connection, from its first byte to the last of the answer: one request is all it gets."""
_TICK_S = 0.2
_WITHOUT_FILES_S = 0.2


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
def answering(host: str, port: int, pages: Mapping[str, Page]) -> Iterator[str]:
    """Answer requests for pages, by their paths, in threads, during the block.

    Args:
        port: 0 chooses a free one.

    Yields:
        The address to ask, such as ``http://127.0.0.1:9464``.

    Raises:
        OSError: the port can't be had.
    """
    server = _Server(host, port, pages)
    serving = Thread(target=server.serve_forever, args=(_TICK_S,), name="http port", daemon=True)
    serving.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, pages: Mapping[str, Page]) -> None:
        self.pages = pages
        self._since: dict[socket.socket, float] = {}
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
            return super().get_request()
        except OSError:
            sleep(_WITHOUT_FILES_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; the oldest of too many connections is cut off for it."""
        with self._lock:
            self._since[request] = monotonic()
            if len(self._since) > _MOST_CONNECTIONS:
                self._cut_off(next(iter(self._since)))
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off those who take too long, at each tick."""
        with self._lock:
            for request, since in list(self._since.items()):
                if monotonic() - since > _LONGEST_S:
                    self._cut_off(request)

    def _cut_off(self, request: socket.socket) -> None:
        del self._since[request]
        with suppress(OSError):  # wakes its thread, which closes it
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing that a client does is worth more than a word."""
        logger.debug("a connection of %s broke", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _IDLE_S
    server_version = "weir"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer, as all of these do."""
        parts = urlsplit(self.path)
        page = self.server.pages.get(parts.path)
        if page is None:
            paths = ", ".join(sorted(self.server.pages))
            self._send(_plain(HTTPStatus.NOT_FOUND, f"there is no such page; there are {paths}\n"))
            return
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        try:
            answer = page(Request(query, self.headers.get("Accept", "")))
        except Exception:
            logger.exception("answering a request for %s failed", parts.path)
            answer = _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed; the log says why\n")
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815

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
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say what was asked for, to whoever wants to hear it."""
        logger.debug(format, *args)


def _plain(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", text.encode())
