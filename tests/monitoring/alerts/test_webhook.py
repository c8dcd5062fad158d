"""Alarms reach a real HTTP server, whatever it does first, and hold nothing up."""

import hmac
import json
import logging
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from monitoring.alerts.settings import AlertSettings
from monitoring.alerts.webhook import Webhook

SECRET = "a shared secret"
ALARM = {"kind": "data_breakage", "feature": "amount", "psi": 0.31, "evidence": float("inf")}


class Receiver(ThreadingHTTPServer):
    """Answers as it is told: a status, or nothing at all for 0; the last answer stays."""

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.held = Event()
        self.held.set()
        Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"http://clerk:opensesame@127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, dict(self.headers), body))
        self.server.held.wait(30)
        answers = self.server.answers
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        if status:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*answers: int) -> Receiver:
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for each in made:
        each.held.set()
        each.shutdown()
        each.server_close()


class Sent:
    """A webhook and what it has counted."""

    def __init__(self, url: str, **more: Any) -> None:
        self.registry = CollectorRegistry()
        given = {"url": url, "secret": SECRET, "first_wait": "10ms", "timeout": "2s"} | more
        self.webhook = Webhook(AlertSettings(**given), self.registry)

    def count(self, outcome: str) -> float:
        name, labels = "weir_alerts_sent_total", {"outcome": outcome}
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, "it is there from the start"
        return value

    def wait_for(self, outcome: str, count: int) -> None:
        until = monotonic() + 60
        while self.count(outcome) < count:
            assert monotonic() < until
            sleep(0.01)


def test_an_alarm_arrives_though_the_receiver_fails_first(
    receiver: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    hook = receiver(0, 500, 429, 204)
    sent = Sent(hook.url())
    with sent.webhook:
        sent.webhook.send(ALARM)
        sent.wait_for("delivered", 1)
    assert len(hook.taken) == 4
    assert len({body for _, _, body in hook.taken}) == 1
    assert len({headers["X-Weir-Delivery"] for _, headers, _ in hook.taken}) == 1
    path, headers, body = hook.taken[-1]
    assert path == "/hook"
    assert json.loads(body) == ALARM | {"evidence": None}
    moment, _, proof = headers["X-Weir-Signature"].partition(",v1=")
    signed = moment.removeprefix("t=").encode() + b"." + body
    assert proof == hmac.new(SECRET.encode(), signed, sha256).hexdigest()
    assert headers["Authorization"].startswith("Basic ")
    assert [sent.count(outcome) for outcome in ("failed", "dropped")] == [0, 0]
    assert "answered 500" in caplog.text
    assert "opensesame" not in caplog.text
    assert "/hook" not in caplog.text


@pytest.mark.parametrize("status", [400, 403, 302])
def test_what_is_refused_for_good_is_not_tried_again(
    receiver: Callable[..., Receiver], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    hook = receiver(status)
    sent = Sent(hook.url())
    with sent.webhook:
        sent.webhook.send(ALARM)
        sent.wait_for("failed", 1)
    assert [path for path, _, _ in hook.taken] == ["/hook"]
    assert f"answered {status}" in caplog.text


def test_an_alarm_is_given_up_and_the_next_one_sent(receiver: Callable[..., Receiver]) -> None:
    hook = receiver(503, 503, 503, 200)
    sent = Sent(hook.url(), tries=3)
    with sent.webhook:
        sent.webhook.send(ALARM)
        sent.webhook.send({"kind": "adversary"})
        sent.wait_for("delivered", 1)
    assert sent.count("failed") == 1
    assert json.loads(hook.taken[-1][2]) == {"kind": "adversary"}


def test_a_receiver_that_hangs_holds_nobody_up(
    receiver: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    hook = receiver(200)
    hook.held.clear()
    sent = Sent(hook.url(), max_waiting=2, timeout="60s")
    sent.webhook.send(ALARM)
    until = monotonic() + 60
    while not hook.taken:  # the first is on its way
        assert monotonic() < until
        sleep(0.01)
    for _ in range(5):
        sent.webhook.send(ALARM)
    assert sent.count("dropped") == 3
    assert "an alarm is dropped: 2 wait" in caplog.text
    hook.held.set()
    sent.webhook.close()
    assert sent.count("delivered") == 3


def test_nobody_there_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    closed = Receiver(200)
    url = closed.url("/token-in-the-path")
    closed.shutdown()
    closed.server_close()
    sent = Sent(url, tries=2)
    endless: list[object] = []
    endless.append(endless)
    with sent.webhook:
        sent.webhook.send(ALARM)
        sent.wait_for("failed", 1)
        sent.webhook.send({"an object": object()})  # is sent as its text
        sent.wait_for("failed", 2)
        sent.webhook.send({"without an end": endless})
        assert sent.count("failed") == 3
    assert "an alarm is no JSON" in caplog.text
    assert "can't be reached (ConnectionError)" in caplog.text
    assert "token-in-the-path" not in caplog.text


def test_without_a_url_nothing_is_sent() -> None:
    with Webhook(AlertSettings(), CollectorRegistry()) as webhook:
        webhook.send(ALARM)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"url": "ftp://host/opensesame"}, "no address of a webhook"),
        ({"url": "https:///opensesame"}, "no address of a webhook"),
        ({"url": "http://host:99999/opensesame"}, "no address of a webhook"),
        ({"secret": "opensesame"}, "set url, too, or neither"),
        ({"url": "http://h", "url_file": "opensesame"}, "give url or url_file, not both"),
    ],
)
def test_wrong_settings_are_refused_without_their_secrets(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as refused:
        AlertSettings(**given)
    assert "opensesame" not in str(refused.value)
