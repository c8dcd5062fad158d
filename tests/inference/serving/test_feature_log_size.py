"""No record of the feature log is larger than what topics take, whatever goes along."""

import numpy as np
import pyarrow as pa

from inference.serving.feature_log_records import FEATURE_LOG_BYTES, _split
from streams.feature_log import (
    CHAMPION_ARM,
    NO_NOTES,
    Arm,
    FeatureLogWriter,
    ScoredEvents,
    read_feature_log,
)


def test_texts_that_go_along_make_more_records_and_none_too_large() -> None:
    count, fields = 3_000, ("a", "b")
    none, some = np.zeros(count, np.bool_), np.ones(count, np.float32)
    events = ScoredEvents(
        ids=list(range(count)),
        keys=list(range(count)),
        times=np.arange(count),
        offsets=np.arange(count),
        features=np.ones((count, 3), np.float32),
        **dict.fromkeys(("score", "probability", "anomaly", "share", "propensity"), some),
        decision=np.zeros(count, np.int8),
        **dict.fromkeys(("late", "approximate", "fallback"), none),
        arm=np.zeros(count, np.int8),
        context={name: ["\N{GRINNING FACE}" * 300] * count for name in fields},
    )
    writer = FeatureLogWriter(
        ["x", "y", "z"],
        pa.int64(),
        pa.int64(),
        ["approve"],
        {"model": "m"},
        arms=[Arm(CHAMPION_ARM, "m")],
        include=dict.fromkeys(fields, "string"),
    )
    records = _split(writer, events, NO_NOTES)
    assert len(records) > 3
    assert max(map(len, records)) <= FEATURE_LOG_BYTES
    ids = [each for record in records for each in read_feature_log(record)["event_id"].to_pylist()]
    assert ids == events.ids
