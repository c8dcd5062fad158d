"""Checks what the shadow's second stage has gathered: each pair once, whatever was killed.

Nothing here calls Weir: pairs are counted again, out of the shadow scores.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.chaos.configuration import DAY_MS, PARTITIONS, TOPICS
from tests.chaos.transcript import DECISIONS, read_topic
from tests.chaos.violations import Violations

FORGOTTEN_MS = 90 * DAY_MS
"""Of a candidate that has said nothing for so long, the shadow keeps nothing."""
Pairing = tuple[str, str, str]
"""Champion, candidate, policy."""


@dataclass
class Run:
    """Pairs of a candidate in one partition since the pairing began, in their order.

    Attributes:
        latest: event time of what was said last.
        pairs: code of both decisions, champion's times 3 plus candidate's, of each.
    """

    pairing: Pairing
    latest: int = 0
    pairs: list[int] = field(default_factory=list)


def runs_of(scores: Iterable[dict[str, Any]]) -> dict[str, Run]:
    """What a partition's shadow scores lead to, by candidate."""
    runs: dict[str, Run] = {}
    for body in scores:
        for name, said in body["candidates"].items():
            if body["arm"] != "champion":
                continue
            pairing = (body["model"], said["model"], body["policy"])
            run = runs.get(name)
            if run is None or run.pairing != pairing:
                late = run is not None and body["event_time"] < run.latest
                if late or said["policy"] != body["policy"]:
                    continue
                run = runs[name] = Run(pairing, 0 if run is None else run.latest)
            run.latest = max(run.latest, body["event_time"])
            if said["policy"] != body["policy"] or body["fallback"] or "error" in said:
                continue
            decisions = body["decision"], said["decision"]
            first, second = map(DECISIONS.index, decisions)
            run.pairs.append(3 * first + second)
    return runs


def check_evidence(bootstrap_servers: str, found: Violations) -> int:
    """How many pairs the evidence is made of; each shadow score must be in it once."""
    scores: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for message in read_topic(bootstrap_servers, TOPICS["shadow_scores"]):
        scores[message.partition()].append(json.loads(message.value()))
    entries: dict[tuple[int, bytes], bytes | None] = {}
    for message in read_topic(bootstrap_servers, TOPICS["shadow_evidence"]):
        entries[message.partition(), message.key()] = message.value()
    tallies = dict(_tallies(entries))
    latest = max((each["event_time"] for said in scores.values() for each in said), default=0)
    pairs = 0
    for partition, said in scores.items():
        for name, run in runs_of(said).items():
            tally = tallies.get((partition, name))
            place = f"{TOPICS['shadow_evidence']}[{partition}]: {name}"
            if tally is None:
                if run.pairs and run.latest > latest - FORGOTTEN_MS:
                    found.add("evidence: lost", f"{place}: {len(run.pairs)} pairs")
                continue
            pairs += tally["events"]
            check_tally(place, tally, run, found, whole=_is_whole(entries, partition))
    return pairs


def check_tally(
    place: str, tally: dict[str, Any], run: Run, found: Violations, *, whole: bool
) -> None:
    """A candidate's counts are those of its pairs.

    Args:
        whole: that they are of all pairs; else evidence began anew when partitions were added, and
            is of the last ones.
    """
    if tuple(tally["between"]) != run.pairing:
        found.add("evidence: wrong pairing", f"{place}: {tally['between']}, not {run.pairing}")
        return
    count = tally["events"]
    late = tally["left_out"].get("late", 0)  # of a partition of the events that came only then
    if count > len(run.pairs) or (whole and count + late < len(run.pairs)):
        what = "evidence: doubled" if count > len(run.pairs) else "evidence: lost"
        found.add(what, f"{place}: {count} pairs, not {len(run.pairs)}")
        return
    if late:
        return
    right: NDArray[np.int64] = np.bincount(
        np.array(run.pairs[len(run.pairs) - count :], np.int64), minlength=9
    )
    if tally["similarity"]["decisions"] != right.tolist():
        detail = f"{place}: {tally['similarity']['decisions']}, not {right.tolist()}"
        found.add("evidence: wrong decisions", detail)


def _tallies(
    entries: dict[tuple[int, bytes], bytes | None],
) -> Iterator[tuple[tuple[int, str], dict[str, Any]]]:
    for (partition, key), value in entries.items():
        if value is not None and key.startswith(b"t/"):
            yield (partition, key[2:].decode()), json.loads(value)


def _is_whole(entries: dict[tuple[int, bytes], bytes | None], partition: int) -> bool:
    progress = json.loads(entries.get((partition, b"p")) or b"{}")
    return bool(progress.get("partitions") == PARTITIONS)
