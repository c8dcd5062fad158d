"""`weir archive`: each record is a row once, whoever is killed; `weir sql` reads them."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from front_door import Trained
from front_door import weir_here as weir
from running_scorer import Scorer, replay

from monitoring.archive.table import EVENTS, LABELS, SCORES, ArchiveTable
from streams.feature_log import feature_matrix, feature_names, read_feature_log
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
COUNT = 6_000


def archived(settings: Settings, name: str) -> pa.Table:
    place = settings.archive.place(settings.data_dir)
    while True:
        dataset = ArchiveTable(place, name, {}).dataset()
        try:
            return pa.table({"offset": []}) if dataset is None else dataset.to_table()
        except FileNotFoundError:
            pass  # An erasure took a file away between the log and the reading of it.


def records(settings: Settings, topic: str) -> list[tuple[int, int, bytes]]:
    return [
        (message.partition() or 0, message.offset() or 0, message.value() or b"")
        for batch in read_to_end(settings.kafka, topic)
        for message in batch
    ]


def places(table: pa.Table) -> list[tuple[int, int]]:
    return sorted(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))


def check_training(path: Path, mature: int) -> int:
    """A model of the archive is the same again, whatever was compacted; its version."""
    done = weir("train", "--json", "-c", path)
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)
    assert model["version"] > 1
    again = weir("train", "--reproduce", model["version"], "--json", "-c", path)
    assert again.returncode == 0, again.stderr + again.stdout
    assert json.loads(again.stdout) == {
        "package": model["package_id"],
        "same": True,
        "differences": [],
    }
    shown = json.loads(weir("models", "show", str(model["version"]), "--json", "-c", path).stdout)
    data = shown["card"]["data"]
    champions = data["version"]["champions"].values()
    assert sum(each["rows"] for each in champions) == data["rows"] > 0.9 * mature
    assert sum(each["rows"] + each["censored"] for each in champions) == mature
    assert {name.split("/")[0] for name in data["version"]["files"]} == {EVENTS, LABELS}
    version: int = model["version"]
    return version


def test_each_record_is_a_row_once_whoever_is_killed(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], tmp_path: Path
) -> None:
    shutil.copytree(trained.folder / "data", tmp_path / "data")
    path = config(
        data_dir=str(tmp_path / "data"),
        archive={
            "url": str(tmp_path / "archive"),
            "group": f"archive-{os.urandom(4).hex()}",
            "interval": "500ms",
            "compact_every": "5s",
            "session_timeout": "6s",
            "niceness": 1,
        },
    )
    settings = load_settings(path)
    topics = settings.topics
    assert weir("topics", "-c", path).returncode == 0
    nothing = weir("sql", "select 1", "-c", path)
    assert nothing.returncode != 0
    assert "no archive at" in nothing.stderr
    scorer = start(path)
    first = start(path, command="archive")
    replay(path, trained.events, COUNT)
    first.wait_for(lambda: archived(settings, EVENTS).num_rows > 0, 120)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second, third = (start(path, command="archive") for _ in range(2))
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 120)
    second.wait_for(lambda: archived(settings, EVENTS).num_rows > COUNT // 2, 120)
    second.process.send_signal(signal.SIGKILL)
    third.wait_for(lambda: archived(settings, EVENTS).num_rows >= COUNT, 120)
    third.wait_for(lambda: archived(settings, SCORES).num_rows >= COUNT, 120)
    sent = records(settings, topics.labels)
    third.wait_for(lambda: archived(settings, LABELS).num_rows >= len(sent), 120)

    events, scores = archived(settings, EVENTS), archived(settings, SCORES)
    log = [
        (at, offset, read_feature_log(value))
        for at, offset, value in records(settings, topics.feature_log)
    ]
    assert places(events) == sorted((at, off) for at, off, t in log for _ in range(t.num_rows))
    rows = {event: place for place, event in enumerate(events["event_id"].to_pylist())}
    assert len(rows) == COUNT
    flat = events["features"].combine_chunks().flatten()
    names = [each.name for each in events.schema.field("features").type]
    for _, _, table in log:
        assert sorted(feature_names(table)) == sorted(names)
        at = [rows[event] for event in table["event_id"].to_pylist()]
        for place, name in enumerate(feature_names(table)):
            kept = flat[names.index(name)].to_numpy()[at]
            logged = np.ascontiguousarray(feature_matrix(table)[:, place])
            assert kept.tobytes() == logged.tobytes(), "to the bit"
    told = records(settings, topics.scores)
    assert places(scores) == sorted((at, offset) for at, offset, _ in told)
    by_id = {each["event_id"]: each for each in scores.to_pylist()}
    for _, _, value in told[:500]:
        score = msgspec.json.decode(value)
        kept_score = by_id[score["event_id"]]
        assert {name: kept_score[name] for name in ("key", "decision", "probability", "model")} == {
            name: score[name] for name in ("key", "decision", "probability", "model")
        }
    assert places(archived(settings, LABELS)) == sorted((at, offset) for at, offset, _ in sent)

    asked = weir("sql", "select count(*), sum(label) from matured", "--json", "-c", path)
    assert asked.returncode == 0, asked.stderr
    ((mature, frauds),) = json.loads(asked.stdout)["rows"]
    assert 0 < frauds < mature < COUNT
    for wrong in ("select nonsense from events", "select * from read_csv('/etc/passwd')"):
        refused = weir("sql", wrong, "-c", path)
        assert (refused.returncode, "root:" in refused.stdout) == (2, False)

    model = check_training(path, mature)
    card = events["key"][0].as_py()
    erased = weir("erase", str(card), "--yes", "--by", "ada", "-c", path)
    assert erased.returncode == 0, erased.stderr
    third.wait_for(lambda: card not in archived(settings, EVENTS)["key"].to_pylist(), 60)
    both = zip(events["event_id"].to_pylist(), events["key"].to_pylist(), strict=True)
    hers = {event for event, key in both if key == card}

    def known(name: str) -> set[int]:
        return hers & set(archived(settings, name)["event_id"].to_pylist())

    third.wait_for(lambda: not (known(SCORES) or known(LABELS)), 30)
    third.wait_for(lambda: third.metrics()["weir_archive_tidied_total:compacted"] > 0, 60)
    assert archived(settings, EVENTS).num_rows == COUNT - len(hers)
    again = weir("train", "--reproduce", model, "-c", path)
    assert again.returncode == 1, again.stderr
    assert " rows then" in again.stdout
    assert "model.onnx differs" in again.stdout
