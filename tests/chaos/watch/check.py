"""Checks the monitor's counts against the feature log, and that it says nothing twice."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from tests.chaos.configuration import CELL_MS, TOPICS
from tests.chaos.transcript import Answers, read_topic
from tests.chaos.violations import Violations


@dataclass
class WatchReport:
    """What was found out about the monitor.

    Attributes:
        counted: events in its counts.
        cells: of a model and a minute of event time, all compared with the feature log.
        episodes: that it found; `said`: records of these.
    """

    counted: int = 0
    cells: int = 0
    episodes: int = 0
    said: int = 0


def check_watch(bootstrap_servers: str, log: Sequence[Answers], found: Violations) -> WatchReport:
    """Each event of the feature log is counted once, and each word on an episode is said once."""
    wanted: Counter[tuple[str, int]] = Counter()
    for part in log:
        starts = np.array(part.times, np.int64) // CELL_MS * CELL_MS
        models = [model for model, _ in part.served]
        wanted.update(zip(models, starts.tolist(), strict=True))
    counted: Counter[tuple[str, int]] = Counter()
    for message in read_topic(bootstrap_servers, TOPICS["drift_counts"]):
        counts = msgspec.msgpack.decode(message.value())
        if counts["type"] == "counts":
            counted[counts["model"], counts["start"]] += counts["events"]
    for model, start in sorted(wanted.keys() | counted.keys()):
        is_, should = counted[model, start], wanted[model, start]
        if is_ != should:
            detail = f"{is_} events of {model} at {start}, {should} in the feature log"
            found.add("monitor: lost" if is_ < should else "monitor: doubled", detail)
    records = [message.value() for message in read_topic(bootstrap_servers, TOPICS["drift"])]
    for record, times in Counter(records).items():
        if times > 1:
            found.add("monitor: said twice", record.decode(), times - 1)
    episodes = {json.loads(each)["id"] for each in records}
    return WatchReport(sum(counted.values()), len(counted), len(episodes), len(records))
