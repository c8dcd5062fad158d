"""A registry that hands out what strangers have put in it, or is strange itself."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from framed_records import NOW, PatientDecoder, contract, frame, one_reason

from streams.events.json_decoder import TryAgainLaterError
from streams.events.rejection import Reason
from streams.formats import SchemaRegistrySettings
from streams.formats.framed import FramedDecoder
from streams.formats.registry import SchemaRegistry

TEXT = 'syntax="proto3"; message A {int64 id=1; int64 time=2;}'


class Answers:
    """A server with an answer for each path; those to all others are in `else_`."""

    def __init__(self, answers: dict[str, Any], else_: Any = None) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                outer.asked.append(path)
                status, body = answers.get(path, else_ or (404, {"error_code": 40403}))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


def schema(references: Any = (), text: Any = TEXT) -> dict[str, Any]:
    return {"schemaType": "PROTOBUF", "schema": text, "references": references}


def to(name: Any, subject: Any = "s", version: Any = 1) -> dict[str, Any]:
    return {"name": name, "subject": subject, "version": version}


def version(of: dict[str, Any], subject: str = "s") -> dict[str, Any]:
    return of | {"subject": subject, "version": 1, "id": 9}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"/schemas/ids/1": (200, schema([to(None)]))}, "without a name"),
        ({"/schemas/ids/1": (200, schema([to("")]))}, "without a name"),
        ({"/schemas/ids/1": (200, schema([to(7)]))}, "without a name"),
        ({"/schemas/ids/1": (200, schema([to("a", None)]))}, "without a name"),
        ({"/schemas/ids/1": (200, schema([to("a", "s", None)]))}, "no version"),
        ({"/schemas/ids/1": (200, schema([to("a", "s", "latest")]))}, "no version"),
        ({"/schemas/ids/1": (200, schema([to("a")]))}, "which the registry does not have"),
        (
            {
                "/schemas/ids/1": (200, schema([to("a")])),
                "/subjects/s/versions/1": (200, version(schema(text=None))),
            },
            "no text of its 'a'",
        ),
        (
            {
                "/schemas/ids/1": (200, schema([to("a")])),
                "/subjects/s/versions/1": (200, version(schema([to("b", "t")]))),
                "/subjects/t/versions/1": (200, version(schema([to("a")]), "t")),
            },
            "more than 20 deep",
        ),
        ({"/schemas/ids/1": (200, schema(text="x" * 300_000))}, "max_bytes = 262,144"),
        (
            {
                "/schemas/ids/1": (200, schema([to(f"n{i}", f"s{i}") for i in range(300)])),
                **{
                    f"/subjects/s{i}/versions/1": (200, version(schema(), f"s{i}"))
                    for i in range(300)
                },
            },
            "more than 200 schemas",
        ),
        (
            {
                "/schemas/ids/1": (200, schema([to(f"n{i}", f"s{i}") for i in range(100)])),
                **{
                    f"/subjects/s{i}/versions/1": (200, version(schema(text="x" * 9_000), f"s{i}"))
                    for i in range(100)
                },
            },
            "max_bytes = 262,144",
        ),
        ({"/schemas/ids/1": (200, schema(text="\ud800"))}, "no schema of events"),
        ({"/schemas/ids/1": (200, schema() | {"schemaType": "\ud800" * 999})}, "it is ?"),
    ],
    ids=range(14),
)
def test_what_can_be_of_no_use_is_settled_at_once_and_once(answers, said):
    with Answers(answers) as server:
        client = SchemaRegistry(SchemaRegistrySettings(url=server.url))
        decoder = PatientDecoder(contract("protobuf"), client, lambda: NOW)
        value = frame(1, b"\0\x08\x01\x10\x01")
        decoded = decoder.decode([value])
        assert one_reason(decoded) == (Reason.WRONG_SCHEMA, None)
        assert said in decoded.rejected[0].detail
        asked = len(server.asked)
        assert asked < 210
        assert one_reason(decoder.decode([value])) == (Reason.WRONG_SCHEMA, None)
        assert len(server.asked) == asked


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"status": "ok"}),
        (200, []),
        (200, "schema"),
        (200, None),
        (200, b"<html>"),
        (200, b""),
        (200, {"schema": 7}),
        (404, {"error_code": 404}),
        (500, {"error_code": 50001}),
        (200, b'{"schema": "' + b"\xff" + b'"}'),
        (200, b"[" * 100_000),
    ],
    ids=range(11),
)
def test_what_no_registry_says_condemns_nothing_and_ends_nothing(answer):
    with Answers({}, else_=answer) as server:
        client = SchemaRegistry(SchemaRegistrySettings(url=server.url))
        decode = FramedDecoder(contract("protobuf"), client, lambda: NOW).decode
        for _ in range(100):
            with pytest.raises(TryAgainLaterError) as later:
                decode([frame(1, b"x")])
            if "can't get a schema" in str(later.value):
                return
        raise AssertionError(later.value)
