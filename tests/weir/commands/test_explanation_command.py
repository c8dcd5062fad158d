"""`weir explanation` and `weir label` as an analyst uses them."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from explained import COUNT, CUSTOMER, stored, write_explained
from front_door import weir, write_settings

from explain.record.record import Record, canonical
from explain.writing.key_ring import KeyRing
from streams.events.json_decoder import Decoder
from streams.events.labels import label_contract
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import load_settings
from weir.reasons import EXAMPLE_CATALOGUE

if TYPE_CHECKING:
    from front_door import Trained

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def world(trained: "Trained", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a store with explanations."""
    return write_explained(tmp_path_factory.mktemp("explained"), trained.folder / "data")


@pytest.fixture
def config(world: Path, tmp_path: Path) -> Path:
    """The same with a store of one's own, to tamper with."""
    for name in ("store.db", "audit-key.pem", "ring"):
        shutil.copy(world.parent / name, tmp_path / name)
    values = world.read_text().replace(str(world.parent), str(tmp_path))
    path = tmp_path / "weir.toml"
    path.write_text(values)
    return path


def put(config: Path, old: Record, new: object) -> None:
    """Replace a record in the database, behind everybody's back."""
    with closing(sqlite3.connect(config.parent / "store.db")) as raw:
        changed = raw.execute("UPDATE weir_records SET body = ? WHERE id = ?", (new, old.id))
        assert changed.rowcount == 1
        raw.commit()


def reads(run: Run, config: Path) -> list[dict[str, object]]:
    return [
        json.loads(line) for line in run("audit", "log", "-c", config, "--json")[1].splitlines()
    ]


def test_show_says_all_of_it(run: Run, config: Path) -> None:
    _, record = stored(config)[0]
    code, out, err = run("explanation", "show", 1000, "-c", config)
    assert (code, err) == (0, "")
    assert run("explanation", "show", record.id, "-c", config)[1] == out
    assert record.decision.outcome == "decline"
    for word in ("declined", "confident", record.event.key, record.model.package, "█", "±", "R²"):
        assert word in out
    for reason in record.reasons:
        assert reason.code in out
    for feature in record.features:
        assert feature.name in out
    german = run("explanation", "show", 1000, "--lang", "de", "-c", config)[1]
    assert "abgelehnt" in german
    assert "\\xa0" not in german
    assert json.loads(run("explanation", "show", 1000, "-c", config, "--json")[1]) == json.loads(
        stored(config)[0][0]
    )


def test_a_record_can_not_drive_the_terminal(run: Run, config: Path) -> None:
    _, record = stored(config)[0]
    evil = msgspec.structs.replace(record.event, id="\x1b]0;x\x07\n1000")
    put(config, record, canonical(msgspec.structs.replace(record, event=evil)))
    code, out, _ = run("explanation", "show", record.id, "-c", config)
    assert code == 0
    assert "\\x1b]0;x\\x07\\n1000" in out.splitlines()[0]
    assert "\x1b" not in out


@pytest.mark.parametrize("body", [b"{}", 5])
def test_what_is_no_record_hides_no_other(run: Run, config: Path, body: object) -> None:
    _, (_, second), *_ = stored(config)
    put(config, second, body)
    code, out, err = run("explanation", "find", "-c", config, "--json")
    assert (code, len(json.loads(out)["records"])) == (0, COUNT - 1)
    assert "1 records can't be read" in err
    assert run("explanation", "show", 1001, "-c", config)[0] == 1
    with closing(sqlite3.connect(config.parent / "store.db")) as raw:
        raw.execute("UPDATE weir_records SET event_id = '1000' WHERE id = ?", (second.id,))
        raw.commit()
    assert run("explanation", "show", 1000, "-c", config)[0] == 0


def test_find_by_every_condition(run: Run, config: Path) -> None:
    records = [record for _, record in stored(config)]

    def found(*options: object) -> list[int]:
        code, out, _ = run("explanation", "find", *options, "-c", config, "--json")
        assert code == 0
        return [each["event"]["id"] for each in json.loads(out)["records"]]

    everything = [record.event.id for record in reversed(records)]
    assert found() == everything
    assert found("--limit", 3) == everything[:3]
    with KeyRing(config.parent / "ring") as ring:
        token = ring.known("customer_id", CUSTOMER)
    assert found("--key", CUSTOMER) == found("--token", token) == [1018, 1012, 1006, 1000]
    assert found("--from", "2026-03-28T15:00", "--to", "2026-03-28T17:00") == [1002, 1001]
    declined = [r.event.id for r in reversed(records) if r.decision.outcome == "decline"]
    assert found("--decision", "decline") == declined
    code = records[0].reasons[0].code
    told = [r.event.id for r in reversed(records) if code in {each.code for each in r.reasons}]
    assert 0 < len(told) < COUNT
    assert found("--code", code) == told
    assert found("--code", code, "--limit", 1) == told[:1]
    assert found("--model", 1) == found("--model", records[0].model.package[:9]) == everything
    assert found("--model", 2) == []
    out = run("explanation", "find", "--limit", 2, "-c", config)[1]
    assert "1023" in out
    assert "1021" not in out
    assert "no explanation fits" in run("explanation", "find", "--model", 2, "-c", config)[1]


def test_a_record_is_reproduced_byte_identical_with_only_the_registry_and_the_store(
    run: Run, config: Path, trained: "Trained"
) -> None:
    """In a process of its own, with an empty folder of models and no key ring."""
    _, record = stored(config)[0]
    elsewhere = config.parent / "elsewhere"
    elsewhere.mkdir()
    registry = trained.folder / "data" / "registry.db"
    path = write_settings(
        elsewhere / "weir.toml",
        data_dir=str(elsewhere / "data"),
        registry={"tracking_uri": f"sqlite:///{registry}"},
        store={"url": f"sqlite:///{config.parent / 'store.db'}"},
        explain={
            "samples": 256,
            "seed": 9,
            "kernel_width": 2.0,
            "top": 1,
            "confidence": {"r2": 1.0, "ess": 1e9, "vsi": 1.0, "gap": 1e-9},
            "groups": {"other": ["amount", "night"]},
        },
        reasons={"at_most": 1, "least_share": 0.99, "languages": ["de"]},
        policy={"version": "later", "anomaly_review": 0.5},
    )
    done = weir("explanation", "reproduce", record.id, "-c", path, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (said["identical"], said["differences"]) == (True, [])
    assert said["recorded_sha256"] == said["recomputed_sha256"]
    assert all(answer["agrees"] for answer in said["answers"])
    code, out, _ = run("explanation", "reproduce", 1000, "-c", config)
    assert code == 0
    assert "byte-identical" in out
    assert out.count("equal") == 3


def tampered(record: Record) -> Iterator[tuple[Record, str]]:
    """Records that were changed so that they are canonical, and what gives each away."""
    replaced = msgspec.structs.replace
    first, *others = record.features
    higher = replaced(first, value=(first.value or 0) + 500)
    yield replaced(record, features=(higher, *others)), "explanation.attributions"
    milder = replaced(record.decision, outcome="review")
    yield replaced(record, decision=milder), "decision.outcome: recorded 'review'"
    lower = replaced(record.answers, score=0.01, probability=0.01)
    yield replaced(record, answers=lower), "answers.probability: recorded 0.01"
    reason, *rest = record.reasons
    kinder = replaced(reason, customer={**reason.customer, "en": "Your bank does not like you."})
    yield replaced(record, reasons=(kinder, *rest)), f"reasons[{reason.code}].customer.en"
    seeded = replaced(record.explainer, seed=record.explainer.seed + 1)
    yield replaced(record, explainer=seeded), "explainer.operator"
    surer = replaced(record.explanation, r2=1.0)
    yield replaced(record, explanation=surer), "explanation.r2: recorded 1.0"


def test_a_tampered_record_is_not_reproduced(run: Run, config: Path) -> None:
    _, record = stored(config)[0]
    for changed, word in tampered(record):
        put(config, record, canonical(changed))
        code, out, _ = run("explanation", "reproduce", 1000, "-c", config, "--json")
        said = json.loads(out)
        assert (code, said["identical"]) == (1, False)
        text = [f"{each['key']}: recorded {each['recorded']!r}" for each in said["differences"]]
        assert any(word in line for line in text), (word, text)
    code, out, _ = run("explanation", "reproduce", 1000, "-c", config)
    assert code == 1
    assert "DIFFERENT explanation.r2: recorded 1.0, recomputed 0." in out
    put(config, record, canonical(record).replace(b'"seed":0', b'"seed": 0'))
    code, out, err = run("explanation", "reproduce", 1000, "-c", config)
    assert (code, out) == (1, "")
    assert "no canonical record" in err
    assert "1 records can't be read" in run("explanation", "find", "-c", config)[2]


def test_reproduction_names_what_is_missing(run: Run, config: Path, tmp_path: Path) -> None:
    _, record = stored(config)[0]
    text = config.read_text().replace("[explain]", '[registry]\nmodel = "other"\n[explain]')
    config.with_name("other.toml").write_text(text)
    code, _, err = run("explanation", "reproduce", 1000, "-c", config.with_name("other.toml"))
    assert code == 1
    assert f"package {record.model.package} is not in the registry" in err
    catalogue = tmp_path / "reasons.toml"
    catalogue.write_text(EXAMPLE_CATALOGUE.read_text().replace('version = "1"', 'version = "2"'))
    path = config.with_name("newer.toml")
    path.write_text(config.read_text() + f'\n[reasons]\nfile = "{catalogue}"\n')
    code, out, _ = run("explanation", "reproduce", 1000, "-c", path)
    assert code == 1
    assert "DIFFERENT catalogue.version: recorded '1', recomputed '2'" in out
    assert "name the file of that one" in out
    assert "attributions" not in out


@pytest.mark.parametrize("audience", ["analyst", "customer", "both"])
def test_export_writes_what_is_for_whom(
    run: Run, config: Path, tmp_path: Path, audience: str
) -> None:
    data, record = stored(config)[0]
    written = {}
    for kind in ("json", "html", "pdf"):
        out = tmp_path / f"out.{kind}"
        said = run(
            "explanation",
            "export",
            1000,
            "-f",
            kind,
            "--for",
            audience,
            "-o",
            out,
            "--by",
            "ada",
            "-c",
            config,
        )
        assert said == (0, "", f"wrote {out}\n")
        written[kind] = out.read_bytes()
    page = written["html"].decode()
    assert (record.model.package in page) == (audience != "customer")
    assert ("right to have this decision reviewed" in page) == (audience != "analyst")
    assert written["pdf"].startswith(b"%PDF-")
    values = json.loads(written["json"])
    if audience == "analyst":
        assert written["json"] == data
    else:
        assert values["letter"]["reference"] == record.id
        assert values.keys() == {"letter"} | ({"record"} if audience == "both" else set())
    logged = reads(run, config)[-1]
    assert (logged["who"], logged["note"]) == ("ada", f"weir explanation export for {audience}")


def test_an_export_appears_whole_or_not_at_all(run: Run, config: Path, tmp_path: Path) -> None:
    export = ("explanation", "export", 1000, "-f", "json", "--for", "analyst", "-c", config, "-o")
    assert run(*export, "-") == (0, stored(config)[0][0].decode(), "")
    assert run(*export, "/dev/full")[2] == "error: /dev/full: No space left on device\n"
    out = tmp_path / "out.json"
    out.write_text("before")
    out.chmod(0o640)
    assert run(*export, out)[0] == 0
    assert out.read_bytes() == stored(config)[0][0]
    assert out.stat().st_mode & 0o777 == 0o640


def test_export_names_the_extra_that_is_missing(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "reportlab.graphics.shapes", None)
    for name in ("pdf", "typesetting"):
        monkeypatch.delitem(sys.modules, f"explain.reports.pages.{name}", raising=False)
    out = tmp_path / "out.pdf"
    code, _, err = run("explanation", "export", 1000, "-f", "pdf", "-o", out, "-c", config)
    assert code == 1
    assert "pip install 'weir[pdf]'" in err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["explanation", "show", 77], 1, ["no event '77'"]),
        (["explanation", "show", 1000, "--lang", "fr"], 1, ["no texts in 'fr'", "de, en"]),
        (["explanation", "find", "--key", 1, "--token", "ab"], 2, ["--key or --token"]),
        (["explanation", "find", "--key", 99], 1, ["no customer_id of this value"]),
        (["explanation", "find", "--key", "me"], 2, ["customer_id is an int field"]),
        (["explanation", "find", "--decision", "maybe"], 2, ["maybe"]),
        (["label", 1000, "maybe"], 2, ["maybe", "legitimate"]),
        (["label", "me", "fraud"], 2, ["transaction_id is an int field"]),
        (["label", 1000, "fraud", "--by", " "], 2, ["--by"]),
    ],
)
def test_mistakes_end_in_one_line(
    run: Run, world: Path, arguments: list[object], code: int, words: list[str]
) -> None:
    got, out, err = run(*arguments, "-c", world)
    assert (got, out) == (code, "")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_an_event_that_two_models_explained_has_to_be_named_by_record(
    run: Run, config: Path
) -> None:
    _, record = stored(config)[0]
    _, other = stored(config)[1]
    with closing(sqlite3.connect(config.parent / "store.db")) as raw:
        raw.execute("UPDATE weir_records SET event_id = '1000' WHERE id = ?", (other.id,))
        twin = msgspec.structs.replace(other, event=msgspec.structs.replace(other.event, id=1000))
        raw.execute("UPDATE weir_records SET body = ? WHERE id = ?", (canonical(twin), other.id))
        raw.commit()
    code, _, err = run("explanation", "show", 1000, "-c", config)
    assert code == 1
    assert "explained 2 times" in err
    assert other.id in err
    assert run("explanation", "show", record.id, "-c", config)[0] == 0


def test_an_analysts_walk(
    run: Run, config: Path, kafka: str, make_topics: Callable[..., list[str]]
) -> None:
    """Find what was declined, look at it, write to the customer, do it again, say what it was."""
    (topic,) = make_topics("labels")
    config.write_text(
        config.read_text()
        .replace('bootstrap_servers = ""', f'bootstrap_servers = "{kafka}"')
        .replace("[topics]", f'[topics]\nlabels = "{topic}"')
    )
    as_ada = ("--by", "ada", "--note", "complaint 7", "-c", config)
    found = run(
        "explanation", "find", "--key", CUSTOMER, "--decision", "decline", *as_ada, "--json"
    )
    event = json.loads(found[1])["records"][-1]["event"]["id"]
    assert event == 1000
    assert "declined" in run("explanation", "show", event, *as_ada)[1]
    out = config.with_name("letter.pdf")
    export = ("explanation", "export", event, "--format", "pdf", "--for", "customer", "-o", out)
    assert run(*export, *as_ada)[0] == 0
    assert out.read_bytes().startswith(b"%PDF-")
    assert run("explanation", "reproduce", event, *as_ada)[0] == 0
    logged = [(each["who"], each["note"]) for each in reads(run, config)[-4:]]
    assert logged == [("ada", "complaint 7")] * 4

    said = run("label", event, "legitimate", "--at", "2026-04-02T09:00", *as_ada)
    assert said == (0, "event 1000 is legitimate, says ada, known since 2026-04-02 09:00:00\n", "")
    assert run("label", event, "fraud", "--json", *as_ada)[0] == 0
    settings = load_settings(config)
    messages = [m for batch in read_to_end(settings.kafka, topic) for m in batch]
    decoded = Decoder(label_contract(settings.event)).decode([m.value() for m in messages])
    assert decoded.events.values("label") == [0, 1]
    assert {m.key() for m in messages} == {b"1000"}
    assert [dict(m.headers()) for m in messages] == [
        {"weir.label.by": b"ada", "weir.label.note": b"complaint 7"}
    ] * 2
