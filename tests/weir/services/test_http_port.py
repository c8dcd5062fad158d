"""The HTTP port answers who asks for a page, and nobody who connects to it does harm."""

import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from time import monotonic, sleep

import pytest

from weir.services import http_port
from weir.services.http_port import Answer, Request, answering


def hello(request: Request) -> Answer:
    name = request.query.get("name", "you")
    return Answer(HTTPStatus.OK, "text/plain", f"hello {name}\n".encode())


def broken(request: Request) -> Answer:
    raise RuntimeError("it is broken")


@pytest.fixture
def port() -> Iterator[int]:
    pages = {"/hello": hello, "/broken": broken}
    with answering("127.0.0.1", 0, pages) as address:
        yield int(address.rsplit(":", 1)[1])


def ask(port: int, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def is_cut_off(idle: socket.socket) -> bool:
    """Whether the other side has closed a connection, which it does within `timeout` or never."""
    try:
        return idle.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_pages_are_answered_and_nothing_else_is(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    response, body = ask(port, "/hello?name=ada")
    assert (response.status, body) == (200, b"hello ada\n")
    assert "Python" not in (response.getheader("Server") or "")
    head, none = ask(port, "/hello", "HEAD")
    assert (head.status, none) == (200, b"")
    assert head.getheader("Content-Length") == str(len("hello you\n"))
    for path in ("/", "/hello/", "/hell", "/metrics"):
        response, body = ask(port, path)
        assert response.status == 404
        assert b"/hello" in body
    for method in ("POST", "DELETE"):
        assert ask(port, "/hello", method)[0].status == 405
    assert ask(port, "/hello", "BREW")[0].status == 501
    assert ask(port, "/broken")[0].status == 500
    assert "it is broken" in caplog.text  # in the log, and not on the page


def test_many_idle_connections_neither_keep_others_out_nor_stay(port: int) -> None:
    most = http_port._MOST_CONNECTIONS
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3 * most)]
    assert ask(port, "/hello")[0].status == 200
    for each in idle[: 2 * most]:
        assert is_cut_off(each)
    # Who was cut off has a thread for a moment longer.
    deadline = monotonic() + 30
    while threading.active_count() > before + most:
        assert monotonic() < deadline, "threads stay"
        sleep(0.05)
    for each in idle:
        each.close()


def test_who_sends_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(http_port, "_LONGEST_S", 0.3)
    slow = socket.create_connection(("127.0.0.1", port), timeout=0.05)
    deadline = monotonic() + 30
    while not is_cut_off(slow):
        assert monotonic() < deadline
        try:
            slow.send(b"G")
        except OSError:
            break
        sleep(0.01)
    slow.close()


def test_who_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(http_port._Handler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        assert is_cut_off(silent)


def test_the_port_is_free_again_afterwards() -> None:
    with answering("127.0.0.1", 0, {"/hello": hello}) as address:
        port = int(address.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"), answering("127.0.0.1", port, {}):
            pass
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_an_address_of_version_6_is_one_to_ask() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with answering("::1", 0, {"/hello": hello}) as address:
        assert address.startswith("http://[::1]:")
        connection = HTTPConnection("::1", int(address.rsplit(":", 1)[1]), timeout=30)
        connection.request("GET", "/hello")
        assert connection.getresponse().status == 200
