"""Labels: their contract and the marks between them."""

import json

import msgspec
import pytest

from streams.events.contract import EventContract, Field
from streams.events.json_decoder import Decoder
from streams.events.labels import Label, label_contract, progress_header, read_progress
from streams.events.rejection import Reason

NOW = 1_700_000_000_000


def contract(id_type: str = "int") -> EventContract:
    return EventContract(
        id="tx",
        time="created",
        key="card",
        time_format="iso",
        fields={
            "tx": Field(type=id_type),  # type: ignore[arg-type]
            "card": Field(type="string"),
            "amount": Field(type="float"),
        },
    )


@pytest.mark.parametrize(("id_type", "event_id"), [("int", 2**53 + 1), ("string", "tx-ü")])
def test_a_label_names_its_event_as_the_events_contract_does(
    id_type: str, event_id: int | str
) -> None:
    value = msgspec.json.encode(Label(event_id, 1, NOW - 5))
    assert json.loads(value) == {"event_id": event_id, "label": 1, "time": NOW - 5}
    decoded = Decoder(label_contract(contract(id_type)), lambda: NOW).decode([value])
    assert decoded.rejected == []
    assert decoded.events.ids == [event_id]
    assert decoded.events.values("label") == [1]
    assert decoded.events.times.tolist() == [NOW - 5]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"event_id": "x7", "label": 1, "time": NOW}, Reason.WRONG_TYPE),
        ({"event_id": 7, "label": 2, "time": NOW}, Reason.OUT_OF_BOUNDS),
        ({"event_id": 7, "label": -1, "time": NOW}, Reason.OUT_OF_BOUNDS),
        ({"event_id": 7, "label": True, "time": NOW}, Reason.WRONG_TYPE),
        ({"event_id": 7, "label": None, "time": NOW}, Reason.NULL_FIELD),
        ({"event_id": 7, "time": NOW}, Reason.MISSING_FIELD),
        ({"event_id": 7, "label": 1}, Reason.MISSING_FIELD),
        ({"event_id": 7, "label": 1, "time": "yesterday"}, Reason.BAD_TIME),
        ({"event_id": 7, "label": 1, "time": NOW + 10**7}, Reason.FROM_THE_FUTURE),
    ],
)
def test_what_is_no_label(record: dict[str, object], reason: Reason) -> None:
    decoder = Decoder(label_contract(contract()), lambda: NOW)
    (rejected,) = decoder.decode([json.dumps(record).encode()]).rejected
    assert rejected.reason == reason


@pytest.mark.parametrize("time", [0, 1, -86_400_000, NOW])
def test_a_mark_is_read_back(time: int) -> None:
    ((name, value),) = progress_header(time)
    assert isinstance(value, str)
    assert read_progress([("other", b"5"), (name, value.encode())]) == time


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("weir.progress", None)],
        [("weir.progress", b"tomorrow")],
        [("weir.progress", b"1" * 30)],
        [("progress", b"5")],
    ],
)
def test_what_is_no_mark(headers: list[tuple[str, bytes | None]] | None) -> None:
    assert read_progress(headers) is None
