"""What of the feature log is explained, and what is no feature log."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from explain.writing.flagged import read_flagged
from streams.feature_log import CHAMPION_ARM, Arm, FeatureLogWriter, ScoredEvents

DECISIONS = ("approve", "review", "decline")
CONTEXT = {
    "model": "0123456789ab",
    "policy": "3",
    "events_topic": "e",
    "review": "0.25",
    "decline": "inf",
    "anomaly_review": "0.75",
    "backend": "cpu",
    "precision": "float32",
}


def record(**context: str) -> bytes:
    """Six events: each decision by the model and by the fallback."""
    writer = FeatureLogWriter(
        ["a", "b"],
        pa.int64(),
        pa.string(),
        DECISIONS,
        CONTEXT | context,
        arms=[Arm(CHAMPION_ARM, CONTEXT["model"])],
    )
    floats = np.arange(6, dtype=np.float32)
    nothing = np.zeros(6, np.bool_)
    return writer.encode(
        ScoredEvents(
            ids=list(range(6)),
            keys=list("uvwxyz"),
            times=np.arange(6) + 1_000,
            offsets=np.arange(6) * 10,
            features=np.column_stack([floats, -floats]),
            score=floats,
            probability=floats / 10,
            anomaly=floats / 20,
            decision=np.array([0, 1, 2, 0, 1, 2], np.int8),
            late=nothing,
            approximate=nothing,
            fallback=np.array([0, 0, 0, 1, 1, 1], np.bool_),
            arm=np.zeros(6, np.int8),
            share=np.ones(6, np.float32),
            propensity=np.ones(6, np.float32),
        )
    )


def test_decisions_of_the_model_are_chosen_and_those_of_the_fallback_are_not():
    events = read_flagged(record(), 7, ("review", "decline"))
    assert events.ids == [1, 2]
    assert events.keys == ["v", "w"]
    assert (events.partition, events.model, events.topic) == (7, "0123456789ab", "e")
    assert events.times.tolist() == [1_001, 1_002]
    assert events.offsets.tolist() == [10, 20]
    np.testing.assert_array_equal(events.features, [[1, -1], [2, -2]])
    assert [each.outcome for each in events.decisions] == ["review", "decline"]
    assert events.decisions[0].thresholds.review == 0.25
    assert events.decisions[0].thresholds.decline is None
    assert events.decisions[0].thresholds.anomaly_review == 0.75
    assert len(read_flagged(record(), 0, ("approve",))) == 1


def test_a_record_with_bits_turned_over_ends_no_process():
    """In processes of their own: Arrow does not raise where an offset leads out of its buffer."""
    code = (
        "import random, sys\n"
        "from explain.writing.flagged import read_flagged\n"
        "good = bytes.fromhex(sys.stdin.read())\n"
        "for seed in map(int, sys.argv[1:]):\n"
        "    chance = random.Random(seed)\n"
        "    bad = bytearray(good)\n"
        "    for _ in range(chance.choice((1, 1, 2, 5))):\n"
        "        bad[chance.randrange(len(bad))] = chance.randrange(256)\n"
        "    try:\n"
        "        read_flagged(bytes(bad), 0, ('approve', 'review', 'decline'))\n"
        "    except ValueError:\n"
        "        pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, range(1_500))],
        input=record().hex(),
        text=True,
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stderr) == (0, "")


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def table() -> pa.Table:
    return pa.ipc.open_stream(record()).read_all()


def without(name: str) -> bytes:
    """Of an earlier version: it does not say whether there was such a bound."""
    said = dict(table().schema.metadata)
    del said[name.encode()]
    return stream(table().replace_schema_metadata(said))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"noise",
        record()[:100],
        stream(table().drop_columns(["decision"])),
        stream(table().drop_columns(["features"])),
        stream(table().set_column(4, "features", pa.array(["x"] * 6))),
        stream(table().replace_schema_metadata({b"weir.format": b"4"})),
        stream(table().replace_schema_metadata({})),
        record(review="soon"),
        without("weir.anomaly_review"),
    ],
    ids=[
        "empty",
        "noise",
        "cut",
        "no decisions",
        "no features",
        "words",
        "bare",
        "none",
        "bound",
        "no bound",
    ],
)
def test_what_is_no_feature_log_says_so(value):
    with pytest.raises(ValueError, match=r"\w"):
        read_flagged(value, 0, ("review", "decline"))
