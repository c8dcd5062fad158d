"""`weir models dossier`, against the real broker: of nothing yet, of what was found, afterwards."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from dossier_world import look, step
from front_door import registry_of, write_settings

from explain.store.people.queries import list_acts
from inference.control.commands import ModelVersion, version_of
from inference.gates.record import comparison_key
from streams.base.clock import now_ms
from streams.kafka.records.control_topic import write_control
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a registry of two models, the first of them champion."""
    folder = tmp_path_factory.mktemp("models")
    registry_of(folder, (1, 2))
    return folder / "data"


@pytest.fixture
def config(kafka: str, world: Path, tmp_path: Path) -> Path:
    run = uuid.uuid4().hex[:8]
    shutil.copytree(world, tmp_path / "data")
    return write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": kafka},
        topics={"partitions": 2} | {role: f"{role}-{run}" for role in ROLES},
        store={
            "url": f"sqlite:///{tmp_path / 'store.db'}",
            "key_file": str(tmp_path / "audit-key.pem"),
        },
        gates={"enforce": True},
    )


def found(settings: Settings, champion: ModelVersion, model: ModelVersion) -> None:
    """Write what `weir judge` and a canary's keeper write."""
    now, topic = now_ms(), settings.topics.comparisons
    for count in (600, 1_200):
        record = look(count, champion, model, at=now)
        value = record.model_dump_json().encode()
        write_control(settings.kafka, topic, comparison_key("v2"), value)
    write_control(settings.kafka, topic, comparison_key("v2"), b"no JSON")
    record = step(1.0, "done", "its last step is over", now, champion, model)
    write_control(settings.kafka, topic, record.experiment, record.model_dump_json().encode())


def test_a_dossier_says_what_stands_and_the_store_vouches_for_the_file(
    config: Path, run: Run, tmp_path: Path
) -> None:
    settings = load_settings(config)
    registry = open_registry(settings)
    champion, model = (version_of(registry.get(version)) for version in (1, 2))
    settings.store.open_signer(settings.data_dir)  # as a sink makes its key
    assert run("topics", "-c", config)[0] == 0
    page, pdf = tmp_path / "dossier.html", tmp_path / "dossier.pdf"
    make = ("models", "dossier", "2", "--by", "ada", "-c", config)

    code, out, err = run(*make, "-o", page)
    assert code == 0, err
    assert "missing: nothing was found of it in the shadow: `weir shadow add 2`" in out
    assert "missing: it was no canary: `weir canary start 2`" in out

    found(settings, champion, model)
    told = json.loads(run(*make, "--json")[1])
    assert "file" not in told
    assert (told["missing"], told["champion"]) == ([], champion.package)
    assert told["gates_as_of"]["when"] == "now"
    before = {gate["name"]: gate["state"] for gate in told["gates"]}
    assert before["guardrails"] == "passed"
    assert [each["mature"] for each in told["evidence"]] == [600, 1_200]
    assert told["card"]["data"]["sha256"] == registry.fetch(registry.get(2)).card.data.sha256

    waived = ("--waive", "the board", "--note", "fewer false alarms", "--by", "eve", "--wait", "0")
    code, _, err = run("models", "promote", "2", *waived, "-c", config)
    assert code == 0, err
    code, out, err = run(*make, "-o", pdf, "--note", "for the file", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["serves"]
    assert (told["champion"], told["gates_as_of"]["when"]) == (champion.package, "promotion")
    assert {gate["name"]: gate["state"] for gate in told["gates"]} == before
    (promotion,) = told["promotions"]
    assert (promotion["by"], promotion["note"]) == ("eve", "fewer false alarms")
    assert promotion["waived"] == "waived by eve: the board"
    assert pdf.read_bytes().startswith(b"%PDF")

    with settings.store.open_database(settings.data_dir) as database:
        acts = [act for _, act in list_acts(database, 0)]
    assert [(act.kind, act.who, act.note) for act in acts] == [
        ("dossier", "ada", ""),
        ("dossier", "ada", "for the file"),
    ]
    for act, file in zip(acts, (page, pdf), strict=True):
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        assert act.what == {"version": 2, "package": model.package, "sha256": sha256}
    assert told["file"]["sha256"] == acts[1].what["sha256"]
    assert run("audit", "verify", "--no-witness", "-c", config)[0] == 0

    assert run("models", "rollback", "--by", "eve", "--wait", "0", "-c", config)[0] == 0
    told = json.loads(run(*make, "--json")[1])
    assert (told["serves"], told["gates_as_of"]["when"]) == (False, "promotion")
    back = json.loads(run("models", "dossier", "1", "--json", "-c", config)[1])
    assert [(each["by"], each["rollback"]) for each in back["promotions"]] == [("eve", True)]
    assert (back["serves"], back["gates"]) == (True, [])
    found(settings, champion, model)
    told = json.loads(run(*make, "--json")[1])
    assert told["gates_as_of"]["when"] == "now", "it is tried once more"


def test_what_can_not_be_made_is_refused_before_anything_is_read(
    config: Path, run: Run, tmp_path: Path
) -> None:
    code, _, err = run("models", "dossier", "2", "-o", tmp_path / "dossier.doc", "-c", config)
    assert (code, "ends in neither .html nor .pdf" in err) == (2, True)
    assert run("topics", "-c", config)[0] == 0
    code, _, err = run("models", "dossier", "7", "-o", tmp_path / "dossier.pdf", "-c", config)
    assert (code, "has no version 7" in err) == (1, True)


def test_without_a_store_it_says_so(
    config: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = config.read_text(encoding="utf-8").replace("[store]\nurl =", "[store]\ngroup =")
    config.write_text(text, encoding="utf-8")
    assert run("topics", "-c", config)[0] == 0
    monkeypatch.chdir(tmp_path)
    code, out, err = run("models", "dossier", "1", "-c", config)
    assert code == 0, err
    assert "there is no store of explanations, so it is written down nowhere" in out
    (made,) = tmp_path.glob("dossier-v1-*.html")
    page = made.read_text(encoding="utf-8")
    assert "It is champion as the registry says" in page
    assert "There is no store of explanations that would vouch for this file" in page
