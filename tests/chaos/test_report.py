"""The report for programs."""

import json
from collections import Counter

from tests.chaos.report import Report
from tests.chaos.served import Served


def test_a_report_can_be_said_as_json() -> None:
    report = Report(
        seed=1,
        minutes=1.0,
        topology="fused",
        plan=Counter({"model swap": 2}),
        exits=Counter({0: 1}),
        delivered={("events", 0): 3, ("events", 1): 4},
        served=Served(models=Counter({"a": 5}), policies=Counter({"1": 5})),
    )
    said = json.loads(json.dumps(report.as_json()))
    assert said["plan"] == {"model swap": 2}
    assert said["served"]["models"] == {"a": 5}
    assert said["exits"] == {"0": 1}
    assert said["delivered"] == 7
