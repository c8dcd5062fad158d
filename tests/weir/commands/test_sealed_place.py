"""The sealed place of an event: who may open it, and what is left of it after an erasure."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from explained import COUNT, CUSTOMER, stored, write_explained
from msgspec.structs import replace

from explain.record.record import Record, canonical, record_id
from explain.writing.key_ring import KeyRing
from weir.commands.explanations.record_erasure import erase_records
from weir.config.settings import load_settings

if TYPE_CHECKING:
    from front_door import Trained

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path, trained: "Trained") -> Path:
    """Settings of a store with explanations, and their key ring."""
    return write_explained(tmp_path, trained.folder / "data")


def as_before(record: Record, partition: int, offset: int) -> Record:
    """The record as a former version wrote it, with a token and an open place."""
    event = replace(record.event, place=None, partition=partition, offset=offset)
    own = record_id(event, record.model.package)
    return replace(record, schema="weir.explanation/1", id=own, event=event)


def test_the_place_is_shown_to_whoever_holds_the_ring_and_asks_for_it(
    run: Run, config: Path
) -> None:
    show = ("explanation", "show", 1006, "-c", config)
    assert "weir.events, sealed" in run(*show)[1]
    assert "weir.events, versiegelt" in run(*show, "--lang", "de")[1]
    code, out, err = run(*show, "--place")
    assert (code, err) == (0, "")
    assert "weir.events/1/6" in out
    event = json.loads(run(*show, "--place", "--json")[1])["event"]
    assert (event["partition"], event["offset"]) == (1, 6)
    assert event["place"] == json.loads(run(*show, "--json")[1])["event"]["place"]
    log = run("audit", "log", "-c", config, "--json")[1].splitlines()
    notes = [json.loads(line)["note"] for line in log]
    assert notes.count("weir explanation show --place") == 2


def test_a_place_that_can_not_be_opened_is_refused_in_one_line(run: Run, config: Path) -> None:
    ring = config.parent / "ring"
    show = ("explanation", "show", 1006, "--place", "-c", config)
    assert run("tokens", "erase", CUSTOMER, "--yes", "-c", config)[0] == 0
    code, out, err = run(*show)
    assert (code, out) == (1, "")
    assert f"no key in {ring} opens the place of its event" in " ".join(err.split())
    assert run(*show[:3], "-c", config)[0] == 0
    ring.unlink()
    code, out, err = run(*show)
    assert (code, out) == (1, "")
    assert "there is no key ring" in err
    config.write_text(config.read_text().replace(f'key_ring = "{ring}"', ""))
    code, out, err = run(*show)
    assert (code, out) == (2, "")
    assert "explain.key_ring" in err


def test_a_record_of_before_is_shown_exported_and_made_again(
    run: Run, config: Path, tmp_path: Path
) -> None:
    _, record = stored(config)[0]
    old = as_before(record, 1, 0)
    with closing(sqlite3.connect(tmp_path / "store.db")) as raw:
        values = (canonical(old), old.id, record.id)
        raw.execute("UPDATE weir_records SET body = ?, id = ? WHERE id = ?", values)
        raw.commit()
    for options in ((), ("--place",)):
        code, out, _ = run("explanation", "show", 1000, *options, "-c", config)
        assert (code, "weir.events/1/0" in out, old.id in out) == (0, True, True)
    for kind in ("html", "pdf"):
        out = tmp_path / f"sheet.{kind}"
        export = ("explanation", "export", 1000, "-f", kind, "-o", out, "-c", config)
        assert run(*export)[0] == 0
    assert "weir.events/1/0" in (tmp_path / "sheet.html").read_text()
    assert "byte-identical" in run("explanation", "reproduce", 1000, "-c", config)[1]
    assert len(json.loads(run("explanation", "find", "-c", config, "--json")[1])["records"]) == 24


def ids_of_all_places(record: Record, ring: KeyRing) -> set[str]:
    """What whoever reads the events topic can compute with the ring as it is: all ids of events."""
    found = set()
    for partition in range(3):
        for offset in range(2 * COUNT):
            unsealed = as_before(record, partition, offset)
            found.add(unsealed.id)
            for customer in (CUSTOMER, *range(400, 400 + COUNT)):
                if ring.known("customer_id", customer) is not None:
                    subject = ring.subject("customer_id", customer)
                    place = subject.seal(record.event.topic, partition, offset)
                    event = replace(unsealed.event, partition=None, offset=None, place=place)
                    found.add(record_id(event, record.model.package))
    return found


def test_an_emptied_record_is_found_from_no_event(run: Run, config: Path, tmp_path: Path) -> None:
    everything = [record for _, record in stored(config)]
    events = range(1000, 1000 + COUNT, 6)
    of_customer = {record.id for record in everything if record.event.id in events}
    with KeyRing(tmp_path / "ring") as ring:
        before = ids_of_all_places(everything[0], ring)
        assert {record.id for record in everything} <= before, "with its key each is found"
        done = erase_records(
            load_settings(config),
            "customer_id",
            CUSTOMER,
            yes=True,
            by=None,
            note="",
            step=lambda *_: None,
        )
        assert done is not None
        assert done.records == 4
        assert run("tokens", "erase", CUSTOMER, "--yes", "-c", config)[0] == 0
        with closing(sqlite3.connect(tmp_path / "store.db")) as raw:
            emptied = raw.execute("SELECT id FROM weir_records WHERE length(body) = 0").fetchall()
        assert {each for (each,) in emptied} == of_customer
        after = ids_of_all_places(everything[0], ring)
    assert after & of_customer == set()
    assert {record.id for record in everything} - of_customer <= after
    code, out, _ = run("audit", "verify", "--no-witness", "-c", config)
    assert (code, "4 records were erased" in out) == (0, True)
