"""Choosing ports: the wanted one or an error, a remembered one if it is still free, else any."""

import secrets
import socket
from collections.abc import Collection
from time import monotonic, sleep

from weir.broker.errors import BrokerError, PortInUseError
from weir.broker.settings import BrokerSettings
from weir.broker.state import Ports

_LASTING = range(10_000, 30_000)
"""Where a port is sought that is kept over restarts: Linux, macOS and Windows give connections
that go out theirs from above. A client that tries to reach a broker that is down may be given that
broker's own port, and then the broker cannot take it again."""
_ATTEMPTS = 100
_ENDING_S, _LOOK_S = 10.0, 0.1
"""Threads of a broker that was killed may hold its port for a moment more than it seems to live."""


def choose_ports(settings: BrokerSettings, remembered: Ports | None) -> Ports:
    """Return ports that are free now.

    Raises:
        PortInUseError: a port that the settings name is taken.
        BrokerError: `settings.host` is no address of this machine.
    """
    before = remembered or Ports(0, 0)
    taken: set[int] = set()
    client = _choose(settings.host, settings.port, before.client, "port", taken)
    controller = _choose(
        "127.0.0.1", settings.controller_port, before.controller, "controller_port", taken
    )
    more = {
        name: _choose(settings.host, port, before.more.get(name, 0), f"listeners.{name}", taken)
        for name, port in settings.listeners.items()
    }
    return Ports(client, controller, more)


def _choose(host: str, wanted: int, remembered: int, key: str, taken: set[int]) -> int:
    """Choose a port that is free and not in `taken`, and add it there."""
    port = _free_port(host, wanted, remembered, key, taken)
    taken.add(port)
    return port


def _free_port(host: str, wanted: int, remembered: int, key: str, taken: set[int]) -> int:
    if wanted:
        patience = _ENDING_S if wanted == remembered else 0.0
        if wanted in taken or not _is_free_within(host, wanted, patience):
            raise PortInUseError(
                f"port {wanted} of {host} is in use by another program: stop it, "
                f"or set `broker.{key}` to another port (0 chooses a free one)"
            )
        return wanted
    if remembered and remembered not in taken and is_free(host, remembered):
        return remembered
    return free_port(host, taken)


def free_port(host: str, taken: Collection[int] = ()) -> int:
    """Return a port that is free now, and that no outgoing connection is given later.

    Args:
        taken: ports not to choose.

    Raises:
        BrokerError: the host is no address of this machine.
    """
    for _ in range(_ATTEMPTS):
        port = secrets.choice(_LASTING)
        if port not in taken and is_free(host, port):
            return port
    while (port := _any_free(host)) in taken:
        pass
    return port


def _is_free_within(host: str, port: int, seconds: float) -> bool:
    until = monotonic() + seconds
    while not (free := is_free(host, port)) and monotonic() < until:
        sleep(_LOOK_S)
    return free


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on the port now.

    Raises:
        BrokerError: the host is no address of this machine.
    """
    try:
        _bind(host, port).close()
    except PermissionError as error:
        raise BrokerError(f"port {port} needs a privilege: choose one from 1024 on") from error
    except OSError:
        _any_free(host)
        return False
    return True


def _any_free(host: str) -> int:
    try:
        with _bind(host, 0) as server:
            port: int = server.getsockname()[1]
            return port
    except OSError as error:
        raise BrokerError(
            f"broker.host: {host!r} is no address of this machine ({error}): use 127.0.0.1"
        ) from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    server = socket.socket(family, kind, protocol)
    try:
        # As Java does: a port whose last connections linger in TIME_WAIT is free.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(1)
    except OSError:
        server.close()
        raise
    return server
