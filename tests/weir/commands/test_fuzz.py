"""`make fuzz`, small: a real scorer lives through whatever a producer sends, and loses nothing."""

import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.campaign import Order, run
from tests.fuzz.checker import Violations, check
from tests.fuzz.generator import Generator
from tests.fuzz.ledger import ANSWERED, REJECTED
from tests.fuzz.schema_campaign import run_schemas
from weir.config.settings import EXAMPLE_FILE, load_settings

RECORDS = 10_000


def test_malformed_records_become_letters_and_good_ones_are_answered(
    kafka: str, config, tmp_path: Path
) -> None:
    path = config()
    settings = load_settings(path)
    topics = settings.topics.model_dump(
        include={"events", "scores", "feature_log", "dead_letters", "labels"}
    )
    order = Order(kafka, path, topics, settings.loop.group, RECORDS, 11, tmp_path / "scorer.log")
    report = run(order)
    assert report.violations.examples == []
    assert sum(report.reasons.values()) == report.ledger.rejected.total() >= RECORDS
    assert report.ledger.answered["good"] > 1_000
    assert report.reasons["too_deep"] > 0

    # The checker is no rubber stamp: what it is told wrongly, it finds.
    part = report.ledger.partitions[False, 0]
    good, bad = part.due.index(ANSWERED), part.due.index(REJECTED)
    other = part.due.index(REJECTED, bad + 1)
    part.due[good], part.due[bad] = REJECTED, ANSWERED
    part.digests[other] ^= 1
    found = Violations()
    check(kafka, topics, report.ledger, found)
    assert found.counts == {
        "no letter": 1,
        "good record rejected": 1,
        "bytes changed": 1,
        "answered without or more than once": 1,
        "unanswered": 1,
        "feature log": 2,
    }


@pytest.mark.exhaustive  # the formats' own tests have such schemas, too
@pytest.mark.parametrize("format", ["protobuf", "avro", "json_schema"])
def test_hostile_schemas_end_no_scorer_and_hold_up_no_good_record(
    kafka: str, schema_registry, config, tmp_path: Path, format: str
) -> None:
    example = tomllib.loads(EXAMPLE_FILE.read_text(encoding="utf-8"))["event"]
    path = config(event=example | {"format": format}, schema_registry={"url": schema_registry.url})
    settings = load_settings(path)
    topics = settings.topics.model_dump(
        include={"events", "scores", "feature_log", "dead_letters", "labels"}
    )
    order = Order(kafka, path, topics, settings.loop.group, 0, 5, tmp_path / "scorer.log")
    report = run_schemas(order, schema_registry, format, 40)
    assert report.violations.examples == []
    assert report.registered == 40
    assert report.reasons["wrong_schema"] > 20
    assert report.answered >= report.good == 120


def test_a_seed_makes_the_same_records() -> None:
    first, again, other = (
        [generator.one() for _ in range(3_000)]
        for generator in (Generator(5, 10**12), Generator(5, 10**12), Generator(6, 10**12))
    )
    assert first == again
    assert first != other
    kinds = Counter(made.kind for made in first)
    assert {"good", "mutated", "wrong encoding", "label garbage", "progress garbage"} <= set(kinds)


@pytest.mark.parametrize("kind", ["good", "good label"])
def test_what_is_called_good_is_json(kind: str) -> None:
    generator = Generator(1, 10**12)
    made = [each for each in (generator.one() for _ in range(5_000)) if each.kind == kind]
    assert made
    assert all(isinstance(json.loads(each.value), dict) and not each.rejected for each in made)
