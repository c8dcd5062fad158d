"""A registry that is down, slow, strange or asked for what it does not have."""

import logging
import socket
import ssl
import sys
import threading
from functools import partial
from itertools import pairwise
from time import monotonic, sleep

import pytest
from framed_records import GOOD, NOW, PatientDecoder, avro, contract, frame, one_reason

from streams.events.contract import EventContract
from streams.events.json_decoder import TryAgainLaterError
from streams.events.rejection import Reason
from streams.formats import MissingFormatError, SchemaRegistrySettings, event_decoder
from streams.formats.framed import FramedDecoder
from streams.formats.registry import SchemaRegistry


def test_known_schemas_flow_while_the_registry_hangs_and_new_ones_wait(registry):
    first, second = avro(registry, GOOD), avro(registry, GOOD | {"id": 2})
    heard = []
    client = SchemaRegistry(SchemaRegistrySettings(url=registry.url, timeout="60s"), heard.append)
    patient = PatientDecoder(contract("avro"), client, lambda: NOW)
    decode = partial(FramedDecoder.decode, patient)
    assert patient.decode([first]).events.ids == [1]
    registry.freeze()
    try:
        start = monotonic()
        with pytest.raises(TryAgainLaterError) as later:
            decode([first, first, second, first])
        assert later.value.position == 2
        for _ in range(100):  # the request is on its way; nobody waits for it
            assert decode([first] * 3).events.ids == [1] * 3
            with pytest.raises(TryAgainLaterError, match="waiting for an answer"):
                decode([second])
        assert monotonic() - start < 50  # less than for one request
        assert heard == [True]
    finally:
        registry.thaw()
    assert patient.decode([first, second]).events.ids == [1, 2]
    assert heard == [True, True]


def test_pauses_grow_and_end(caplog):
    clock, heard = [0.0], []
    settings = SchemaRegistrySettings(url="http://127.0.0.1:9")
    client = SchemaRegistry(settings, heard.append, lambda: clock[0])
    decode = FramedDecoder(contract("avro"), client, lambda: NOW).decode
    asked = []
    with caplog.at_level(logging.WARNING):
        while len(asked) < 10:
            with pytest.raises(TryAgainLaterError, match="can't get a schema"):
                wait_until_settled(decode, frame(7, b"x"))
            if len(heard) > len(asked):
                asked.append(clock[0])
            clock[0] += 0.1
    pauses = [round(after - before) for before, after in pairwise(asked)]
    assert pauses[:7] == [0, 1, 2, 4, 8, 16, 30]
    assert set(pauses[7:]) == {30}
    assert heard == [False] * 10
    assert len(caplog.records) == 10  # none for being asked meanwhile
    assert "records wait, next try in 0.5 s" in caplog.text
    assert "schema_registry.url" in caplog.text


def test_a_registry_that_is_back(registry, caplog):
    heard, value = [], avro(registry, GOOD)
    client = SchemaRegistry(SchemaRegistrySettings(url=registry.url, timeout="1s"), heard.append)
    patient = PatientDecoder(contract("avro"), client, lambda: NOW)
    registry.freeze()
    try:
        with pytest.raises(TryAgainLaterError, match="Timeout"):
            wait_until_settled(partial(FramedDecoder.decode, patient), value)
    finally:
        registry.thaw()
    with caplog.at_level(logging.INFO):
        assert patient.decode([value]).events.ids == [1]
    assert "answers again" in caplog.text
    assert (heard[0], heard[-1]) == (False, True)


@pytest.mark.parametrize("url", ["{root}/no/such/place", "{root}", "http://127.0.0.1:9"])
def test_an_answer_that_settles_nothing_condemns_nothing(registry, url):
    settings = SchemaRegistrySettings(url=url.format(root=registry.root))
    decode = event_decoder(contract("avro"), settings).decode
    with pytest.raises(TryAgainLaterError, match=r"can't get a schema.*schema_registry\.url"):
        wait_until_settled(decode, avro(registry, GOOD))


def wait_until_settled(decode, value):
    """Ask until the request is no longer on its way, and raise what then comes of it."""
    deadline = monotonic() + 60
    while monotonic() < deadline:
        try:
            decode([value])
        except TryAgainLaterError as error:
            if "waiting for an answer" not in str(error):
                raise
            sleep(0.05)


def test_several_addresses_are_tried_in_turn(registry):
    url = f"http://127.0.0.1:9, {registry.url}"
    client = SchemaRegistry(SchemaRegistrySettings(url=url))
    patient = PatientDecoder(contract("avro"), client, lambda: NOW)
    assert patient.decode([avro(registry, GOOD)]).events.ids == [1]


def test_an_unknown_schema_is_asked_for_again_after_a_minute(registry):
    clock, heard = [0.0], []
    settings = SchemaRegistrySettings(url=registry.url)
    client = SchemaRegistry(settings, heard.append, lambda: clock[0])
    patient = PatientDecoder(contract("avro"), client, lambda: NOW)
    strange = frame(2**30, b"x")
    for at, asked in ((0, 1), (30, 1), (61, 2)):
        clock[0] = at
        assert one_reason(patient.decode([strange])) == (Reason.UNKNOWN_SCHEMA, None)
        assert heard == [True] * asked


def test_credentials_go_along_and_into_no_message(tmp_path):
    """What a server is sent, read off the wire."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _ = server.accept()
            with connection:
                seen.append(connection.recv(65_536))
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        settings = SchemaRegistrySettings(
            url=f"http://127.0.0.1:{server.getsockname()[1]}", username="weir", password="hush"
        )
        decode = event_decoder(contract("avro"), settings).decode
        with pytest.raises(TryAgainLaterError, match="401") as refused:
            wait_until_settled(decode, frame(7, b"x"))
        thread.join(60)
    assert b"Basic d2VpcjpodXNo" in seen[0]  # weir:hush
    assert seen[0].startswith(b"GET /schemas/ids/7 ")
    assert "hush" not in str(refused.value)


def test_a_certificate_that_is_none(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    settings = SchemaRegistrySettings(url="https://registry", ssl_ca_location=file)
    with pytest.raises(ValueError, match="certificate and key files") as refused:
        event_decoder(contract("avro"), settings)
    assert isinstance(refused.value.__cause__, ssl.SSLError)


def test_a_property_that_the_client_does_not_know():
    settings = SchemaRegistrySettings(url="https://registry", properties={"no.such": "x"})
    with pytest.raises(ValueError, match=r"no\.such"):
        event_decoder(contract("avro"), settings)


def test_plain_json_needs_no_registry():
    plain = EventContract(
        **contract("avro").model_dump(exclude={"format", "max_future", "min_time"})
    )
    decode = event_decoder(plain, SchemaRegistrySettings()).decode
    body = b'{"id":1,"time":%d,"card":"c1","amount":2}' % NOW
    assert decode([body]).events.ids == [1]


@pytest.mark.parametrize(
    ("format", "module"),
    [("avro", "fastavro"), ("protobuf", "google.protobuf"), ("json_schema", "certifi")],
)
def test_a_library_that_is_missing(format, module, monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("streams.formats.", "confluent_kafka.schema_registry")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    settings = SchemaRegistrySettings(url="https://registry")
    with pytest.raises(MissingFormatError, match=rf"{module}.*weir\[schema-registry\]"):
        event_decoder(contract(format), settings)
