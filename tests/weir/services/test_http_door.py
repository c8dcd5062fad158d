"""With a login or a certificate of their own, people ask for all; everybody, whether it lives."""

import base64
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request as Question
from urllib.request import urlopen

import pytest

from tests.weir.authority import Authority
from weir.config.errors import SettingsError
from weir.config.metrics_settings import MetricsSettings
from weir.services.http.door import door_of
from weir.services.http.port import Bounds, answering
from weir.services.http.routes import Answer, Request

LOGIN = {"username": "ada", "password": "to the sea: ö"}


def page(request: Request) -> Answer:
    return Answer(HTTPStatus.OK, "text/plain", b"here")


PAGES = dict.fromkeys(("/metrics", "/livez", "/readyz"), page)


@contextmanager
def port_with(counted: Counter[str] | None = None, **settings: object) -> Iterator[str]:
    told = Counter[str]() if counted is None else counted
    door = door_of(MetricsSettings.model_validate(settings))
    bounds = Bounds(idle_s=5, longest_s=0.5)
    with answering("127.0.0.1", 0, PAGES, door, bounds, lambda why: told.update([why])) as address:
        yield address


def status(
    url: str,
    authorization: str | None = None,
    tls: ssl.SSLContext | None = None,
    body: bytes | None = None,
) -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    try:
        with urlopen(Question(url, body, headers), timeout=30, context=tls) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def test_with_a_login_set_only_health_is_open() -> None:
    counted: Counter[str] = Counter()
    right = basic(LOGIN["username"], LOGIN["password"])
    wrong = [
        None,
        "",
        "Basic",
        "Basic ????",
        "Basic " + "A" * 5_000,
        "Basic \xff",
        right.replace("Basic", "Bearer"),
        right + "AAAA",
        basic("ada", "to the sea"),
        basic("", ""),
        basic("eve", LOGIN["password"]),
    ]
    with port_with(counted, **LOGIN) as address:
        assert status(f"{address}/metrics", right) == 200
        assert status(f"{address}/metrics", right.replace("Basic", "basic")) == 200
        for each in wrong:
            for path in ("/metrics", "/", "/livez/../metrics", "/Livez", "/metrics?x=/livez"):
                assert status(address + path, each) == 401, each
            assert status(f"{address}/livez", each) == status(f"{address}/readyz", each) == 200
    assert counted["login"] == 5 * len(wrong)


def test_who_acts_brings_the_token_and_no_login() -> None:
    counted: Counter[str] = Counter()
    token = "0123456789abcdef"
    door = door_of(MetricsSettings.model_validate(LOGIN | {"token": token}))
    acts = {"/act": page}
    with answering(
        "127.0.0.1", 0, PAGES, door, count=lambda why: counted.update([why]), acts=acts
    ) as address:
        for given, wanted in (
            (f"Bearer {token}", 200),
            (f"bearer  {token}", 200),
            (f"Basic {token}", 401),
            (f"Bearer {token}x", 401),
            (token, 401),
            (basic(LOGIN["username"], LOGIN["password"]), 401),
            (None, 401),
        ):
            assert status(f"{address}/act", given, body=b"") == wanted, given
        assert status(f"{address}/metrics", f"Bearer {token}") == 401
    assert counted["login"] == 6


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca", "ours")


def test_it_speaks_tls_and_nothing_else(authority: Authority) -> None:
    ours = authority.issue("weir", "127.0.0.1")
    trusts = ssl.create_default_context(cafile=str(authority.certificate))
    with port_with(tls_certificate=ours.certificate, tls_key=ours.key) as address:
        assert address.startswith("https://127.0.0.1:")
        assert status(f"{address}/metrics", tls=trusts) == 200
        port = int(address.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            heard = plain.recv(1_000)
            assert b"here" not in heard
            assert b"HTTP" not in heard
        for drips in (b"", b"\x16\x03\x01\x02\x00\x01"):  # a handshake that never comes to its end
            with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
                slow.sendall(drips)
                while slow.recv(1_000):
                    pass
        assert status(f"{address}/metrics", tls=trusts) == 200


def test_with_an_authority_for_clients_only_health_takes_no_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    ours, prometheus = authority.issue("weir", "127.0.0.1"), authority.issue("prometheus")
    strange = Authority(tmp_path / "other", "other").issue("prometheus")
    settings = {
        "tls_certificate": ours.certificate,
        "tls_key": ours.key,
        "tls_client_ca": authority.certificate,
    }
    with port_with(**settings) as address:
        for client, path, wanted in (
            (None, "/livez", 200),
            (None, "/metrics", 401),
            (prometheus, "/metrics", 200),
        ):
            trusts = ssl.create_default_context(cafile=str(authority.certificate))
            if client is not None:
                trusts.load_cert_chain(client.certificate, client.key)
            assert status(address + path, tls=trusts) == wanted
        trusts = ssl.create_default_context(cafile=str(authority.certificate))
        trusts.load_cert_chain(strange.certificate, strange.key)
        asked = HTTPSConnection(address.removeprefix("https://"), context=trusts, timeout=30)
        with pytest.raises(OSError):  # noqa: PT012 - TLS 1.3 says so with the answer
            asked.request("GET", "/metrics")
            asked.getresponse()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"username": "ada"}, "go together"),
        ({"password": "sesame-sesame"}, "go together"),
        ({"username": "a:b", "password": "sesame-sesame"}, "colon"),
        ({"tls_certificate": __file__}, "go together"),
        ({"tls_client_ca": __file__}, "is for TLS"),
        ({"tls_certificate": "/nowhere", "tls_key": __file__}, "no file"),
        ({"connections": 0}, "greater than or equal to 1"),
        ({"token": "too-short"}, "16 letters"),
        ({"token": "has a blank, and is long enough"}, "16 letters"),
        ({"token": "0123456789abcdef", "token_file": __file__}, "not both"),
        ({"token_file": "/nowhere"}, "no file"),
    ],
)
def test_settings_that_make_no_door_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MetricsSettings.model_validate(wrong)


def test_a_certificate_that_is_none_is_named(authority: Authority) -> None:
    closed = authority.issue("weir", "127.0.0.1", password=b"sesame")
    for certificate, key in ((__file__, closed.key), (closed.certificate, closed.key)):
        settings = MetricsSettings(tls_certificate=Path(certificate), tls_key=key)
        with pytest.raises(SettingsError, match=r"metrics\.tls_certificate .* can't be used"):
            door_of(settings)
