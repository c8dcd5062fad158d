"""From records of Kafka to rows of the archive's tables.

All tables have where a row came from (``partition``, ``offset``) and the ``date`` of its time, UTC,
by which files are apart. Times are microseconds there, as Delta Lake has them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message

from inference.serving.score_record import Score
from streams.events.json_decoder import Decoder
from streams.events.labels import read_progress, said_by
from streams.events.rejection import Reason, Rejected
from streams.feature_log import APPROVE_THROUGH, feature_matrix, feature_names, read_feature_log
from streams.kafka.message import headers_of

_TIME = pa.timestamp("us", "UTC")
_NOT_KEPT = ("features", "traceparent", "tracestate", APPROVE_THROUGH)
_LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: what is later has no date."""


class Rows(NamedTuple):
    """What came of some records.

    Attributes:
        table: None where nothing came of them.
        rejected: records that are none of their topic's.
    """

    table: pa.Table | None
    rejected: list[tuple[Message, Rejected]]


class Kinds(NamedTuple):
    """Arrow types of what the event contract calls id and key."""

    id: pa.DataType
    key: pa.DataType


def event_rows(messages: Sequence[Message], kinds: Kinds) -> Rows:
    """Of records of the feature log: what models saw and answered, an event a row.

    Features are fields of one struct by their names, ``NaN`` where missing, to the bit as they were
    scored; fields that go along are those of ``context``.
    """
    tables: dict[Any, list[pa.Table]] = {}
    bad = []
    for message in messages:
        try:
            table = read_feature_log(message.value() or b"")
            said = table.schema.metadata
            names = tuple(feature_names(table))
            by, schema = (said[name].decode() for name in (b"weir.policy", b"weir.feature_schema"))
            if len(names) != table.schema.field("features").type.list_size:
                raise ValueError("it names other features than it has")
            if (table["event_id"].type, table["key"].type) != kinds:
                raise ValueError("its ids or keys are not of the kinds that [event] says")
            _check_times(pc.min_max(table["event_time"].cast(pa.int64())).as_py().values())
            table = _with_place(table.replace_schema_metadata(), message)
            for name, text in (("policy", by), ("feature_schema", schema)):
                table = table.append_column(name, _repeated(text, table.num_rows))
        except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            why = f"no record of the feature log as Weir writes it: {error}"
            bad.append((message, Rejected(0, Reason.BAD_BODY, None, why)))
        else:
            tables.setdefault((names, table.schema), []).append(table)
    parts = [_flat(pa.concat_tables(each), names) for (names, _), each in tables.items()]
    return Rows(_joined(parts), bad)


def score_rows(messages: Sequence[Message], kinds: Kinds) -> Rows:
    """Of records of the scores topic: what consumers were told, an event a row."""
    decode = msgspec.json.Decoder(Score).decode
    good, scores, bad = [], [], []
    for message in messages:
        try:
            scores.append(_checked(decode(message.value() or b""), kinds))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            why = f"no record of the scores as Weir writes it: {error}"
            bad.append((message, Rejected(0, Reason.BAD_BODY, None, why)))
        else:
            good.append(message)
    if not scores:
        return Rows(None, bad)

    def column(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([_or_none(getattr(score, name)) for score in scores], kind)

    real, text = pa.float64(), pa.string()
    columns = {"event_id": column("event_id", kinds.id), "key": column("key", kinds.key)}
    columns |= {name: _times(column(name, pa.int64())) for name in ("event_time", "arrived")}
    columns |= {name: column(name, real) for name in ("score", "probability", "anomaly", "share")}
    columns |= {name: column(name, text) for name in ("decision", "model", "policy", "arm")}
    columns |= {name: column(name, text) for name in ("feature_schema", "fallback", "stood_in")}
    columns |= {name: column(name, pa.bool_()) for name in ("late", "approximate")}
    columns[APPROVE_THROUGH] = column(APPROVE_THROUGH, real)
    columns |= _places(good) | {"date": columns["event_time"].cast(pa.date32())}
    return Rows(pa.table(columns), bad)


def label_rows(messages: Sequence[Message], kinds: Kinds, decoder: Decoder) -> Rows:
    """Of records of the labels topic: what became known of an event, a label a row.

    A record that says up to when labels are complete is a row, too, with neither event nor label.

    Args:
        decoder: of what `label_contract` says.
    """
    marks = [_progress(message) for message in messages]
    labels = [place for place, mark in enumerate(marks) if mark is None]
    decoded = decoder.decode(
        [messages[place].value() for place in labels],
        np.array([messages[place].timestamp()[1] for place in labels], np.int64),
    )
    bad = [(messages[labels[each.position]], each) for each in decoded.rejected]
    known = [labels[position] for position in decoded.positions.tolist()]
    said = [place for place, mark in enumerate(marks) if mark is not None]
    good = [messages[place] for place in (*known, *said)]
    if not good:
        return Rows(None, bad)
    events, nothing = decoded.events, [None] * len(said)
    times = [*events.times.tolist(), *(marks[place] for place in said)]
    columns = {
        "event_id": pa.array([*events.ids, *nothing], kinds.id),
        "label": pa.array([*map(int, events.values("label")), *nothing], pa.int8()),
        "time": _times(pa.array(times, pa.int64())),
        "by": pa.array([said_by(headers_of(message)) for message in good], pa.string()),
    }
    columns |= _places(good) | {"date": columns["time"].cast(pa.date32())}
    return Rows(pa.table(columns), bad)


def _flat(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The same with features by name, and with the types of Delta Lake."""
    matrix = feature_matrix(table)
    columns = {
        name: table[name].cast(pa.string())
        if pa.types.is_dictionary(table[name].type)
        else table[name]
        for name in table.column_names
        if name not in _NOT_KEPT
    }
    columns["event_time"] = table["event_time"].cast(_TIME)
    columns["date"] = columns["event_time"].cast(pa.date32())
    by_name = [pa.array(np.ascontiguousarray(matrix[:, place])) for place in range(len(names))]
    columns["features"] = pa.StructArray.from_arrays(by_name, list(names))
    chances = APPROVE_THROUGH in table.column_names
    columns[APPROVE_THROUGH] = (
        table[APPROVE_THROUGH] if chances else pa.nulls(table.num_rows, pa.float64())
    )
    if not table.schema.field("context").type.num_fields:
        del columns["context"]  # Parquet has no struct of no fields
    return pa.table(columns)


def _joined(parts: Sequence[pa.Table]) -> pa.Table | None:
    parts = [part for part in parts if part.num_rows]
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def _with_place(table: pa.Table, message: Message) -> pa.Table:
    """The offset that its rows have is that of the event: it is called so here."""
    place = pa.array(np.full(table.num_rows, message.partition() or 0, np.int32))
    log = pa.array(np.full(table.num_rows, message.offset() or 0, np.int64))
    names = ["event_offset" if name == "offset" else name for name in table.column_names]
    return (
        table.rename_columns(names).append_column("partition", place).append_column("offset", log)
    )


def _places(messages: Sequence[Message]) -> dict[str, pa.Array]:
    return {
        "partition": pa.array([message.partition() for message in messages], pa.int32()),
        "offset": pa.array([message.offset() for message in messages], pa.int64()),
    }


def _checked(score: Score, kinds: Kinds) -> Score:
    for value, kind in ((score.event_id, kinds.id), (score.key, kinds.key)):
        if isinstance(value, int) != pa.types.is_integer(kind):
            raise ValueError("its id or key is not of the kind that [event] says")
    _check_times((score.event_time, score.arrived))
    return score


def _check_times(times: Iterable[int | None]) -> None:
    if any(time is not None and abs(time) > _LATEST_MS for time in times):
        raise ValueError("it has a time that is no date")


def _progress(message: Message) -> int | None:
    return None if message.value() is not None else read_progress(headers_of(message))


def _times(milliseconds: pa.Array) -> pa.Array:
    return milliseconds.cast(pa.timestamp("ms", "UTC")).cast(_TIME)


def _repeated(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array([text]))


def _or_none(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
