"""Records between the stages: damaged or foreign ones end in a clear error."""

from typing import Any

import numpy as np
import pytest

from streams.events.contract import EventContract
from streams.features.feature_rows import FeatureRows
from streams.stages.common.messages import (
    MAX_BYTES,
    MessageError,
    RowCodec,
    SourceProgress,
    decode_features,
    encode_features,
    open_message,
)
from streams.stages.common.names import StageTopics, target_partition
from streams.stages.common.step import pack, unpack

CONTRACT = EventContract(
    id="id", time="t", key="id", fields={"id": {"type": "string"}, "x": {"type": "float"}}
)


def codec(digest: str = "d") -> RowCodec:
    return RowCodec(CONTRACT, ["id", "x"], digest)


def features() -> bytes:
    none = np.zeros(2, np.bool_)
    rows = FeatureRows(np.array([[1.0, np.nan], [-0.0, 2.0]]), none, ~none)
    (value,) = encode_features("shop", "d", 3, np.array([5, 9]), rows)
    return value


def test_large_batches_are_split_and_their_marks_stay_true() -> None:
    row = codec().new_row
    rows = [row(i, 10 * i, 0, 10 * i, None, "x" * 1000, 0.5) for i in range(2_500)]
    values = codec().encode(rows, SourceProgress(1, 9_999, 77_777, True))
    assert len(values) > 2
    assert max(map(len, values)) <= MAX_BYTES
    read: list[Any] = []
    marks = []
    for value in values:
        mark, part = codec().decode(open_message(value)[1])
        read += part
        marks.append(mark)
        if value is not values[-1]:
            assert mark == SourceProgress(1, part[-1].offset + 1, part[-1].merge_time, False)
    assert marks[-1] == SourceProgress(1, 9_999, 77_777, True)
    assert [each.offset for each in read] == list(range(2_500))


def test_features_come_back_with_the_same_bits() -> None:
    message = decode_features(open_message(features())[1])
    assert message.source_offsets.tolist() == [5, 9]
    expected = np.array([[1.0, np.nan], [-0.0, 2.0]]).tobytes()
    assert message.rows().matrix.tobytes() == expected
    assert message.rows().approximate.all()
    assert not message.rows().late.any()


@pytest.mark.parametrize("cut", range(len(features())))
def test_a_cut_record_is_told(cut: int) -> None:
    with pytest.raises(MessageError):
        decode_features(open_message(features()[:cut])[1])


def test_others_records_are_told() -> None:
    with pytest.raises(MessageError, match="empty"):
        open_message(None)
    with pytest.raises(MessageError, match="format version 9"):
        open_message(b"\x09E...")
    (value,) = codec("old").encode([], SourceProgress(0, 0, 0, False))
    with pytest.raises(MessageError, match="other features"):
        codec("new").decode(open_message(value)[1])
    with pytest.raises(MessageError, match="another program"):
        unpack("hello, world", int)


def test_metadata_that_kafka_would_refuse_is_told() -> None:
    assert unpack(pack({1: 2}), dict[int, int]) == {1: 2}
    with pytest.raises(ValueError, match="4096"):
        pack(["x" * 4_000])


def test_places_and_names_are_stable() -> None:
    assert [target_partition(value, 5, 4) for value in (None, 17, "17", "shop")] == [1, 3, 3, 1]
    assert StageTopics().by_entity("terminal_id") == "weir.by-terminal_id"
    assert StageTopics(prefix="a").by_entity("café/1").startswith("a.by-caf__1-")
