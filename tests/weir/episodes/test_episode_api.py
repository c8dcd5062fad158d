"""Episodes over HTTP, against the real topic: what is known of them, and what somebody says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Event
from time import monotonic, sleep
from typing import Any

import pytest
from episode_world import episode, looked_after, moved

from monitoring.counting.cell_counts import DECODE, EpisodeAct
from monitoring.episodes.episode import ENCODE_EPISODE, Episode
from streams.base.beside import beside
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import Publisher
from tests.conftest import MakeTopics
from weir.episodes.acts import say
from weir.episodes.api import EpisodeApi
from weir.episodes.book import EpisodeBook
from weir.services.http.door import Door
from weir.services.http.port import answering
from weir.services.http.routes import Paths

TOKEN = "0123456789abcdef.sesame"
OPEN, OVER = episode(), looked_after()
ONE = f"/drift/episodes/{OPEN.id}"


class Port:
    """A port that answers of episodes."""

    def __init__(self, address: str, kafka: KafkaSettings, drift: str, counts: str) -> None:
        self.port = int(address.rsplit(":", 1)[1])
        self.kafka, self.drift, self.counts = kafka, drift, counts

    def tell(self, *episodes: Episode, garbage: bytes = b"") -> None:
        """As the monitor does."""
        with Publisher(self.kafka) as publisher:
            for each in episodes:
                publisher.send(self.drift, ENCODE_EPISODE(each), each.id)
            if garbage:
                publisher.send(self.drift, garbage, "garbage")
            publisher.flush()

    def ask(self, path: str, body: Any = None, token: str | None = TOKEN) -> tuple[int, Any]:
        """Status, and JSON or text; POSTed where there is a body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, sent, headers)
        response = connection.getresponse()
        text = response.read().decode()
        kind = response.getheader("Content-Type") or ""
        connection.close()
        return response.status, json.loads(text) if kind == "application/json" else text

    def wait_for(self, path: str, key: str, value: object) -> None:
        deadline = monotonic() + 60
        while not (isinstance(found := self.ask(path)[1], dict) and found.get(key) == value):
            assert monotonic() < deadline, found
            sleep(0.05)

    def said(self) -> list[EpisodeAct]:
        """What came to the monitor."""
        batches = read_to_end(self.kafka, self.counts)
        found = [DECODE(message.value() or b"") for batch in batches for message in batch]
        return [each for each in found if isinstance(each, EpisodeAct)]


@contextmanager
def answered(kafka: KafkaSettings, drift: str, counts: str, door: Door) -> Iterator[Port]:
    book, paths, stop = EpisodeBook(kafka, drift), Paths({}, {}), Event()
    EpisodeApi(book, lambda act: say(kafka, counts, act)).add_to(paths)
    with answering("127.0.0.1", 0, paths.pages, door, acts=paths.acts) as address:
        port = Port(address, kafka, drift, counts)
        assert port.ask(ONE)[0] == 503, "nothing is read yet"
        with beside(lambda: book.run(stop), stop, "episodes"):
            yield port
            stop.set()


@pytest.fixture
def port(kafka: str, make_topics: MakeTopics) -> Iterator[Port]:
    drift, counts = make_topics("drift", "counts")
    settings = KafkaSettings(bootstrap_servers=kafka)
    with answered(settings, drift, counts, Door(token=TOKEN)) as port:
        port.tell(OPEN, garbage=b"\xff{")
        port.wait_for(ONE, "id", OPEN.id)
        yield port


def test_episodes_are_listed_shown_and_followed(port: Port) -> None:
    status, shown = port.ask(ONE)
    assert (status, shown["features"][0]["histogram"]["now"]) == (200, [0, 40, 900, 60, 0])
    status, listed = port.ask("/drift/episodes")
    assert (status, [each["id"] for each in listed]) == (200, [OPEN.id])
    assert listed[0]["features"][0]["histogram"] is None, "the list is short"
    status, page = port.ask(f"{ONE}/page")
    assert (status, page[:15], OPEN.id in page) == (200, "<!DOCTYPE html>", True)
    later = episode(id="aaaa", found=OPEN.found + 1, features=[moved()])
    port.tell(later, OVER)
    port.wait_for(ONE, "state", "closed")
    assert [each["id"] for each in port.ask("/drift/episodes")[1]] == ["aaaa", OPEN.id]
    assert [each["id"] for each in port.ask("/drift/episodes?state=open")[1]] == ["aaaa"]
    assert [each["id"] for each in port.ask("/drift/episodes?state=closed")[1]] == [OPEN.id]
    assert [each["id"] for each in port.ask("/drift/episodes?limit=1")[1]] == ["aaaa"]
    for wrong in ("state=maybe", "limit=0", "limit=-1", "limit=1001", "limit=x", "limit=²"):
        status, told = port.ask(f"/drift/episodes?{wrong.replace('²', '%C2%B2')}")
        assert (status, "error" in told) == (400, True), wrong
    status, told = port.ask(f"{ONE}/close", {"by": "ada"})
    assert (status, "is over" in told["error"]) == (409, True)
    assert port.said() == []


def test_what_somebody_says_comes_to_the_monitor(port: Port) -> None:
    note = {"by": "ada", "note": "asked the gateway's team"}
    assert port.ask(f"{ONE}/acknowledge", note)[0] == 202
    status, told = port.ask(f"{ONE}/snooze", note | {"for": "4h"})
    assert (status, told["until"] - told["at"]) == (202, 4 * 3_600_000)
    assert port.ask(f"{ONE}/close", {"by": "ada"})[0] == 202
    acts = port.said()
    assert [each.deed for each in acts] == ["acknowledge", "snooze", "close"]
    assert {(each.episode, each.by) for each in acts} == {(OPEN.id, "ada")}
    assert [each.note for each in acts] == [note["note"], note["note"], ""]
    assert [each.until is None for each in acts] == [True, False, True]


def test_what_is_wrong_is_said_and_does_nothing(port: Port) -> None:
    for deed, body, word in (
        ("acknowledge", b"", "truncated"),
        ("acknowledge", b"\xff", "JSON"),
        ("acknowledge", b"[]", "object"),
        ("acknowledge", b'{"x":' + b"[" * 30_000, "unknown field"),
        ("acknowledge", {}, "by"),
        ("acknowledge", {"by": " "}, "who you are"),
        ("acknowledge", {"by": "x" * 201}, "200"),
        ("acknowledge", {"by": "ada", "note": "x" * 2_001}, "2000"),
        ("acknowledge", {"by": "ada", "for": "4h"}, "snooze"),
        ("snooze", {"by": "ada"}, "for"),
        ("snooze", {"by": "ada", "for": "soon"}, "no duration"),
        ("snooze", {"by": "ada", "for": "900000000d"}, "hundred years"),
    ):
        status, told = port.ask(f"{ONE}/{deed}", body)
        assert status == 400, (body, told)
        assert word in told["error"], told
    assert port.ask(f"{ONE}/acknowledge", {"by": "ada", "note": "\U0001f642" * 2_000})[0] == 202
    assert port.ask(f"{ONE}/acknowledge", b"x" * 40_000)[0] == 413
    assert len(port.said()) == 1


def test_no_path_leads_elsewhere(port: Port) -> None:
    for path in (
        "/drift/episodes/",
        "/drift/episodes//page",
        "/drift/episodes/../../metrics",
        "/drift/episodes/..",
        "/drift/episodes/%2e%2e%2fmetrics",
        "/drift/episodes/{id}",
        "/drift/episodes/{id}/page",
        f"/drift/episodes/{OPEN.id[:6]}",
        f"/drift/episodes/{OPEN.id}%00",
        f"{ONE}/page/",
        f"{ONE}/acknowledge/../page",
    ):
        assert port.ask(path)[0] == 404, path
    for path in ("/drift/episodes/nobody/close", "/drift/episodes/{id}/close"):
        assert port.ask(path, {"by": "ada"})[0] == 404, path
    for path in ("/drift/episodes", ONE, f"{ONE}/page", f"{ONE}/purge"):
        assert port.ask(path, {"by": "ada"})[0] == 405, path
    assert port.ask(f"{ONE}/close") == (405, "POST only\n")
    assert port.said() == []


def test_without_the_token_nobody_acts(port: Port) -> None:
    for token in (None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xff"):
        status, told = port.ask(f"{ONE}/close", {"by": "eve"}, token)
        assert (status, "metrics.token_file" in told) == (401, True), token
    assert port.said() == []


def test_without_a_setting_nobody_acts_and_it_says_how(port: Port) -> None:
    with answered(port.kafka, port.drift, port.counts, Door()) as closed:
        closed.wait_for(ONE, "id", OPEN.id)
        for token in (None, "", "None", TOKEN):
            status, told = closed.ask(f"{ONE}/close", {"by": "eve"}, token)
            assert (status, "set metrics.token_file" in told) == (403, True)
    assert port.said() == []
