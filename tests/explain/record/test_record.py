"""Explanation records: the same bytes wherever they are written, and nothing else is read."""

import copy
import json
import math
import random
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import EVENT, EXPLANATION, LIME, REASON, a_record, as_values, feature

from explain.record.json_schema import record_schema, schema_file, schema_text
from explain.record.record import SCHEMAS, Record, RecordError, Schema, canonical, read, record_id

VALIDATORS = {
    schema: jsonschema.Draft202012Validator(
        json.loads(schema_file(schema).read_text(encoding="utf-8"))
    )
    for schema in SCHEMAS.values()
}
SEALED = msgspec.structs.replace(EVENT, partition=None, offset=None, place="0f" * 28)
VALIDATOR = VALIDATORS["weir.explanation/1"]
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def written(values: Any) -> bytes:
    """JSON as `canonical` writes it, of something that need not be a record."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def changed(path: str, value: Any) -> dict[str, Any]:
    """A record as a dict with another value at a path such as ``event.offset``."""
    values = as_values(a_record())
    *parents, last = path.split(".")
    inner: Any = values
    for parent in parents:
        inner = inner[int(parent) if parent.isdigit() else parent]
    inner[last] = value
    return values


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = rng.sample(list(value), len(value))
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list | tuple):
        return [shuffled(each, rng) for each in value]
    return value


# Bytes


def test_the_bytes_are_those_of_python_with_sorted_keys_and_no_spaces() -> None:
    record = a_record()
    data = canonical(record)
    assert data == written(as_values(record))
    assert read(data) == record
    assert data.startswith(b'{"answers":{"anomaly":0.98,"log_odds":2.31,')
    assert "ungewöhnlich".encode() in data


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(rng: random.Random) -> None:
    record = a_record()
    other = msgspec.convert(shuffled(as_values(record), rng), Record)
    assert canonical(other) == canonical(record)


@settings(deadline=None, max_examples=50)
@given(FINITE, st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_to_the_bit(wide: float, narrow: float) -> None:
    explanation = msgspec.structs.replace(EXPLANATION, baseline=wide)
    features = (feature("amount", narrow), *a_record().features[1:])
    data = canonical(a_record(explanation=explanation, features=features))
    back = read(data)
    for value, found in ((wide, back.explanation.baseline), (narrow, back.features[0].value)):
        assert found is not None
        assert (found, math.copysign(1, found)) == (value, math.copysign(1, value))
    assert f'"baseline":{wide!r}'.encode() in data
    assert np.float32(narrow) == narrow
    assert canonical(back) == data


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_null(value: float) -> None:
    explanation = msgspec.structs.replace(EXPLANATION, baseline=value, r2=np.float32(value))
    data = canonical(a_record(explanation=explanation))
    assert b'"baseline":null' in data
    assert b'"r2":null' in data
    none = msgspec.structs.replace(EXPLANATION, baseline=None, r2=None)
    assert data == canonical(a_record(explanation=none))
    assert read(data).explanation == none


def test_numbers_of_numpy_and_whole_numbers_are_written_as_pythons_floats() -> None:
    plain = msgspec.structs.replace(EXPLANATION, baseline=-4.0, r2=0.5, ess=300.0)
    others = msgspec.structs.replace(
        EXPLANATION, baseline=np.float64(-4), r2=np.float32(0.5), ess=300
    )
    assert canonical(a_record(explanation=others)) == canonical(a_record(explanation=plain))
    event = msgspec.structs.replace(EVENT, offset=np.int64(29_311), partition=np.int32(3))
    assert canonical(a_record(event=event)) == canonical(a_record())


TEXT = st.text(max_size=20)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)


@settings(deadline=None, max_examples=50)
@given(
    st.builds(
        a_record,
        event=st.builds(
            msgspec.structs.replace,
            st.just(EVENT),
            id=st.integers(-(2**63), 2**63 - 1) | TEXT,
            key=st.none() | TEXT,
            topic=TEXT,
            offset=st.integers(0, 2**63 - 1),
            explained=st.none() | st.integers(0, 2**62),
        ),
        reasons=st.lists(
            st.builds(
                msgspec.structs.replace,
                st.just(REASON),
                code=TEXT,
                value=st.none() | st.floats(),
                direction=st.sampled_from(["high", "low", "typical", "missing", None]),
                analyst=TEXTS,
                customer=TEXTS,
            ),
            max_size=4,
        ),
    )
)
def test_whatever_is_written_fits_the_schema_and_is_read_again(record: Record) -> None:
    data = canonical(record)
    VALIDATOR.validate(json.loads(data))
    assert canonical(read(data)) == data


# What is no record

WRONG: dict[str, dict[str, Any]] = {
    path: changed(path, value)
    for path, value in {
        "schema": "weir.explanation/x",
        "id": "0" * 31,
        "event.offset": -1,
        "event.time": "2026-11-21",
        "event.id": None,
        "event.token": "x",
        "decision.outcome": "maybe",
        "decision.thresholds.review": 1.5,
        "answers.probability": -0.1,
        "answers.score": "high",
        "model.package": "c6",
        "model.version": "2",
        "features.0.value": "412",
        "explainer.method": "guess",
        "explainer.groups.0.features": [],
        "explanation.confident": "yes",
        "explanation.attributions": None,
        "explanation.stability.vsi": 2,
        "reasons.0.direction": "up",
        "reasons.0.customer": {"en": 1},
        "reasons.0.adverse_action": 1,
        "reasons": [as_values(a_record())["reasons"][0]] * 5,
        "catalogue.version": 1,
    }.items()
} | {"missing": {k: v for k, v in as_values(a_record()).items() if k != "answers"}}


@pytest.mark.parametrize("path", WRONG)
def test_the_schema_and_the_reader_refuse_the_same(path: str) -> None:
    assert not VALIDATOR.is_valid(json.loads(written(WRONG[path])))
    with pytest.raises(RecordError):
        read(written(WRONG[path]))


def test_a_mistake_names_its_place() -> None:
    with pytest.raises(RecordError, match=r"decision\.thresholds\.review"):
        read(written(WRONG["decision.thresholds.review"]))
    with pytest.raises(RecordError, match=r"Expected `str`.*catalogue\.version"):
        read(written(WRONG["catalogue.version"]))


def test_a_part_with_a_wrong_type_is_not_written() -> None:
    for event, says in (
        (msgspec.structs.replace(EVENT, offset=-1), "offset"),
        (msgspec.structs.replace(EVENT, key=7), "key"),
        (msgspec.structs.replace(EVENT, key=object()), "no part of a record"),
        (msgspec.structs.replace(EVENT, key="\ud800"), "surrogates"),
    ):
        with pytest.raises(RecordError, match=says):
            canonical(a_record(event=event))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: data.replace(b'":', b'": ', 1),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.replace("ü".encode(), b"\\u00fc"),
        lambda data: data.replace(b'"ess":311.7', b'"ess":3.117e2'),
        lambda data: data.replace(b'"csi":1.0', b'"csi":1'),
        lambda data: data.replace(b'"seed":0', b'"seed":0,"seed":0'),
        lambda data: b'{"catalogue":null,' + data[1:],
    ],
)
def test_the_same_content_in_other_bytes_is_refused(change: Callable[[bytes], bytes]) -> None:
    data = canonical(a_record())
    assert change(data) != data
    with pytest.raises(RecordError, match=r"no (canonical|explanation) record"):
        read(change(data))


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"a":' * 50_000])
def test_anything_else_is_no_record(data: bytes) -> None:
    with pytest.raises(RecordError, match="no explanation record"):
        read(data)


def test_a_record_of_another_version_is_said_to_be_one() -> None:
    with pytest.raises(RecordError, match=r"'weir.explanation/5'; .* '.*/1', .*, '.*/4'"):
        read(written(changed("schema", "weir.explanation/5")))
    for number in (2, 3, 4):
        says = rf"/{number} has no record by the method 'lime' with an open place"
        with pytest.raises(RecordError, match=says):
            read(written(changed("schema", f"weir.explanation/{number}")))


# Parts that contradict each other


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("id", "0" * 32, "id: event and package make it"),
        ("event.offset", 1, "id: event and package make it"),
        ("model.package", "aa" * 32, "id: event and package make it"),
        ("explanation.attributions", [], "explanation.attributions"),
        ("explanation.attributions.0.group", "other", "explanation.attributions"),
        ("explainer.groups.1.features", ["count"], "explainer.groups"),
        ("explainer.groups.1.features", ["count", "frauds", "amount"], "explainer.groups"),
        ("features.0.name", "other", "explainer.groups"),
        ("reasons.0.contribution", 3.0, "reasons: 'amount-high'"),
        ("reasons.0.group", "other", "reasons: 'amount-high'"),
    ],
)
def test_parts_must_fit_each_other(path: str, value: Any, says: str) -> None:
    values = changed(path, value)
    with pytest.raises(RecordError, match=says):
        read(written(values))
    with pytest.raises(RecordError, match=says):
        canonical(msgspec.convert(copy.deepcopy(values), Record))


def test_the_id_is_of_place_and_package() -> None:
    replaced = msgspec.structs.replace
    package = "c6" * 32
    assert record_id(EVENT, package) == a_record().id == "f94643435aacd697df08431196154bc4"
    assert a_record(event=SEALED).id == "41e293548be0c8afac33e358d6fd9a4d"
    ids = {
        record_id(EVENT, "aa" * 32),
        record_id(replaced(EVENT, offset=29_312), package),
        record_id(replaced(EVENT, partition=32, offset=9_311), package),
        record_id(replaced(EVENT, topic="weir.event"), package),
        record_id(SEALED, package),
        record_id(SEALED, "aa" * 32),
        record_id(replaced(SEALED, place="0e" * 28), package),
    }
    assert len(ids | {a_record().id}) == 8


# A sealed place


@pytest.mark.parametrize("explainer", [a_record().explainer, LIME])
def test_a_record_with_a_sealed_place_is_written_and_read(explainer: Any) -> None:
    record = a_record(event=SEALED, explainer=explainer)
    data = canonical(record)
    assert read(data) == record
    assert record.schema == ("weir.explanation/4" if explainer is LIME else "weir.explanation/3")
    values = json.loads(data)
    assert values["event"].keys() == as_values(a_record())["event"].keys() - {
        "partition",
        "offset",
    } | {"place"}
    fitting = [schema for schema, each in VALIDATORS.items() if each.is_valid(values)]
    assert fitting == [record.schema]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (dict.fromkeys(("partition", "offset")), "either partition and offset, or a sealed"),
        ({"offset": None}, "either partition and offset, or a sealed"),
        ({"place": "0f" * 28}, "either partition and offset, or a sealed"),
        ({"place": "0f" * 28, "partition": None}, "either partition and offset, or a sealed"),
        ({"place": "0f" * 28, "partition": None, "offset": None, "key": None}, "event.key"),
        ({"place": "0f" * 27, "partition": None, "offset": None}, "event.place"),
    ],
)
def test_a_place_is_either_open_or_sealed(event: dict[str, Any], says: str) -> None:
    values = as_values(a_record(event=msgspec.structs.replace(EVENT, **event)))
    with pytest.raises(RecordError, match=says):
        read(written(values))
    assert not any(each.is_valid(values) for each in VALIDATORS.values())


def test_what_is_not_there_is_left_out_and_not_null() -> None:
    values = as_values(a_record())
    values["event"]["place"] = None
    with pytest.raises(RecordError, match="no canonical record"):
        read(written(values))


# The schema file


@pytest.mark.parametrize("schema", SCHEMAS.values())
def test_the_schema_file_is_that_of_the_types(schema: Schema) -> None:
    assert schema_file(schema).read_text(encoding="utf-8") == schema_text(schema), (
        "write it anew: python -c 'from explain.record.json_schema import *; "
        f'schema_file("{schema}").write_text(schema_text("{schema}"), encoding="utf-8")\'; where '
        "old records would no longer fit, it is a new version with a file of its own"
    )


@pytest.mark.parametrize("schema", SCHEMAS.values())
def test_the_schema_is_one_and_says_nothing_of_python(schema: Schema) -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema(schema))
    assert "None" not in schema_text(schema)
    assert "Attributes" not in schema_text(schema)


def test_a_record_fits_the_schema_of_its_own_number_alone() -> None:
    values = json.loads(canonical(a_record(explainer=LIME)))
    assert values["schema"] == "weir.explanation/2"
    assert values["explainer"]["method"] == "lime 0.2.0.1"
    VALIDATORS["weir.explanation/2"].validate(values)
    for number in ("1", "2"):
        forged = values | {"schema": f"weir.explanation/{number}"}
        assert VALIDATOR.is_valid(forged) is False
    assert not VALIDATORS["weir.explanation/2"].is_valid(as_values(a_record()))
    assert "log-odds" not in json.dumps(record_schema("weir.explanation/2")["$defs"]["Reason"])
