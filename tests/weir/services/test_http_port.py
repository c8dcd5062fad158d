"""The HTTP port answers who asks for a page, and nobody who connects to it does harm."""

import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from time import monotonic, sleep

import pytest

from weir.services.http.door import Door
from weir.services.http.port import Bounds, answering
from weir.services.http.routes import Answer, Request


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


def echo(request: Request) -> Answer:
    said = f"{request.named['name']}: {len(request.body)}"
    return Answer(HTTPStatus.ACCEPTED, "text/plain", said.encode())


def heard_from(port: int, said: bytes) -> bytes:
    """All that the port answers to some bytes, and its end of the connection."""
    heard = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
        sender.sendall(said)
        with suppress(ConnectionResetError):
            while part := sender.recv(65_536):
                heard += part
    return bytes(heard)


TOKEN = "sesame-sesame-sesame"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Content-Length: 5", b"12345", b"202"),
        ("Content-Length: 0", b"", b"202"),
        ("Content-Length: 32768", bytes(32_768), b"202"),
        ("Content-Length: 32769", b"", b"413"),
        ("Content-Length: 999999999", b"", b"413"),
        ("Content-Length: 9999999999", b"", b"411"),
        ("Content-Length: -1", b"", b"411"),
        ("Content-Length: +5", b"12345", b"411"),
        ("Content-Length: x", b"", b"411"),
        ("Transfer-Encoding: chunked", b"0\r\n\r\n", b"411"),
    ],
)
def test_a_body_has_a_length_and_a_bound(headers: str, body: bytes, status: bytes) -> None:
    door = Door(token=TOKEN)
    with answering("127.0.0.1", 0, {}, door, acts={"/echo/{name}": echo}) as address:
        port = int(address.rsplit(":", 1)[1])
        head = f"POST /echo/ada HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n{headers}\r\n\r\n"
        heard = heard_from(port, head.encode() + body)
        assert heard.split(b" ")[1] == status
        if status == b"202":
            assert heard.endswith(f"ada: {len(body)}".encode())


def test_whoever_sends_less_than_was_said_is_cut_off() -> None:
    bounds = Bounds(idle_s=0.1)
    paths = {"/echo/{name}": echo}
    with answering("127.0.0.1", 0, {}, Door(token=TOKEN), bounds, acts=paths) as address:
        port = int(address.rsplit(":", 1)[1])
        head = f"POST /echo/ada HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n"
        assert heard_from(port, f"{head}\r\n1234".encode()) == b""


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
    assert "script" not in (response.getheader("Content-Security-Policy") or "script")
    assert ask(port, "/broken")[0].status == 500
    assert "it is broken" in caplog.text  # in the log, and not on the page


def test_many_idle_connections_neither_keep_others_out_nor_stay(port: int) -> None:
    most = Bounds().connections
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


def probe(port: int) -> int:
    """Ask as a probe does: again, where a busy machine has not cut off the others yet."""
    for _ in range(30):
        try:
            status: int = ask(port, "/hello")[0].status
            return status
        except OSError:
            sleep(1)
    return 0


def test_hundreds_at_once_have_few_threads_and_a_probe_gets_through() -> None:
    refused: Counter[str] = Counter()
    before = threading.active_count()
    held, threads = [], 0
    door = answering("127.0.0.1", 0, {"/hello": hello}, count=lambda why: refused.update([why]))
    with door as address:
        port = int(address.rsplit(":", 1)[1])
        for number in range(400):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            if number % 20 == 0:
                threads = max(threads, threading.active_count() - before)
        assert probe(port) == 200
    # The server's own thread, and those that have been cut off and do not know it yet.
    assert threads <= 1 + 2 * Bounds().connections
    assert refused["displaced"] + refused["full"] >= 400 - Bounds().connections
    for each in held:
        each.close()


def test_whoever_is_being_answered_is_not_cut_off_for_others() -> None:
    may_end, entered = threading.Event(), threading.Semaphore(0)
    refused: Counter[str] = Counter()

    def slow(request: Request) -> Answer:
        entered.release()
        may_end.wait(60)
        return hello(request)

    pages = {"/slow": slow, "/hello": hello}
    bounds = Bounds(connections=2, longest_s=60)
    with answering("127.0.0.1", 0, pages, Door(), bounds, lambda why: refused.update([why])) as at:
        port = int(at.rsplit(":", 1)[1])
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(ask, port, "/slow") for _ in range(2)]
            for _ in asked:
                assert entered.acquire(timeout=60)
            with socket.create_connection(("127.0.0.1", port), timeout=30) as third:
                assert is_cut_off(third), "refused at once"
            assert refused["full"] == 1
            may_end.set()
            assert [each.result(60)[1] for each in asked] == [b"hello you\n"] * 2
        assert ask(port, "/hello")[0].status == 200


def test_who_sends_byte_by_byte_is_cut_off() -> None:
    bounds = Bounds(longest_s=0.3)
    with answering("127.0.0.1", 0, {}, bounds=bounds) as address:
        port = int(address.rsplit(":", 1)[1])
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


def test_who_says_nothing_is_cut_off() -> None:
    with answering("127.0.0.1", 0, {}, bounds=Bounds(idle_s=0.1)) as address:
        port = int(address.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
            assert is_cut_off(silent)


@pytest.mark.parametrize(
    "said",
    [
        b"GET /\r\n",  # HTTP/0.9
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\n",
        b"GET /hello HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"\x00" * 70_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n" + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"\r\n",
    ],
)
def test_garbage_and_what_is_too_long_end_their_connection_only(said: bytes) -> None:
    bounds = Bounds(idle_s=0.5)
    with answering("127.0.0.1", 0, {"/hello": hello}, bounds=bounds) as address:
        port = int(address.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as rude:
            with suppress(ConnectionError):
                rude.sendall(said)
            heard = bytearray()
            with suppress(ConnectionResetError):
                while part := rude.recv(65_536):
                    heard += part
        assert b"200 OK" not in heard
        assert ask(port, "/hello")[1] == b"hello you\n"


def test_where_no_file_is_left_the_port_waits_and_does_not_spin() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FILES],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    tries, answered = done.stdout.split()
    assert int(tries) < 50, "it asked again and again"
    assert answered == "200"


WITHOUT_FILES = """
import os, resource, socket, time
from http import HTTPStatus
from http.client import HTTPConnection
from weir.services.http import port as http_port
from weir.services.http.routes import Answer
tries = 0
accept = http_port.ThreadingHTTPServer.get_request
def counted(self):
    global tries
    tries += 1
    return accept(self)
http_port.ThreadingHTTPServer.get_request = counted
page = lambda request: Answer(HTTPStatus.OK, "text/plain", b"")
with http_port.answering("127.0.0.1", 0, {"/": page}) as address:
    port = int(address.rsplit(":", 1)[1])
    pending = [socket.socket() for _ in range(3)]
    most = max(map(int, os.listdir("/proc/self/fd"))) + 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = []
    while True:
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            break
    for each in pending:
        each.connect(("127.0.0.1", port))
    time.sleep(1)
    seen = tries
    for each in held:
        os.close(each)
    for each in pending:
        each.close()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    print(seen, connection.getresponse().status)
"""


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
