"""A process's HTTP port: a few pages, for whoever watches it.

It must not hurt the process that it is about, whoever connects: connections are bounded in number
and in time, and so is what a request may hold. Where there are too many, one that has asked for
nothing yet gives way, so that a probe gets through; if all are being answered, the new one is
refused.
"""

import errno
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, NamedTuple

from weir.services.http.door import Door
from weir.services.http.handler import Handler
from weir.services.http.routes import Page

logger = logging.getLogger(__name__)

_TICK_S = 0.2
_WITHOUT_FILES_S = 0.2
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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


@contextmanager
def answering(
    host: str,
    port: int,
    pages: Mapping[str, Page],
    door: Door = Door(),
    bounds: Bounds = Bounds(),
    count: Callable[[str], None] = lambda reason: None,
    acts: Mapping[str, Page] = {},
) -> Iterator[str]:
    """Answer requests for pages, by their paths, in threads, during the block.

    Args:
        port: 0 chooses a free one.
        door: who may ask.
        count: called with the reason for each connection that was refused or cut off: ``full``,
            ``displaced``, ``slow`` or ``login``.
        acts: what is POSTed to, by path: whoever does brings the door's token. Pages and acts may
            be added meanwhile.

    Yields:
        The address to ask, such as ``http://127.0.0.1:9464``.

    Raises:
        OSError: the port can't be had.
    """
    server = Server(host, port, pages, door, bounds, count, acts)
    serving = Thread(target=server.serve_forever, args=(_TICK_S,), name="http port", daemon=True)
    serving.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"{'http' if door.tls is None else 'https'}://{shown}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Server(ThreadingHTTPServer):
    """Connections, and their bounds."""

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
        acts: Mapping[str, Page],
    ) -> None:
        self.acts = acts
        self.pages, self.door, self.bounds, self.count = pages, door, bounds, count
        self._since: dict[socket.socket, float] = {}
        self._answered: set[socket.socket] = set()
        self._open = 0
        self._lock = Lock()
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        super().__init__(address[:2], Handler)  # type: ignore[arg-type]

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
