"""The commands as a user runs them: what they say, what they write, and their exit codes."""

import hashlib
import json
import signal
import subprocess
import sys
import time
import tomllib
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from front_door import environment, weir, write_events, write_settings
from mlflow.tracking import MlflowClient

from inference.evaluation.topic_reading import read_scores
from streams.features.state import FeatureState
from streams.files.event_file import open_events
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.weir_topics import ROLES
from weir import __version__
from weir.config.settings import EXAMPLE_FILE, load_settings
from weir.main import Commands
from weir.services.wiring import open_registry

SINGLE = (
    *("control", "reports", "positions", "comparisons", "drift_counts", "drift_state", "drift"),
    *("retraining", "retraining_state"),
)
"""Roles of topics with one partition."""
NAMES = [name for name, _, _ in Commands.lazy]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with events, settings, and a champion that was trained on them by the command."""
    folder = tmp_path_factory.mktemp("given")
    events = write_events(folder / "events.parquet")
    config = write_settings(folder / "weir.toml")
    done = weir("train", "--data", events, "--json", "--config", config)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(
        folder=folder, events=events, config=config, model=json.loads(done.stdout)
    )


# Help and versions


def test_help_lists_every_command_with_the_first_line_of_its_own_help(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    group = Commands(name="weir")
    for name, _, line in Commands.lazy:
        assert f" {name} " in out
        own = group.commands[name].load().help
        assert own.split("\n\n")[0].replace("\n", " ") == line, f"{name}: change it in weir/main.py"


def test_help_and_version_do_not_wait_for_heavy_modules():
    check = (
        "import sys\nfrom weir.main import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'numba', 'numpy', 'pyarrow', 'onnxruntime', 'mlflow', 'confluent_kafka'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    for option in ("--help", "--version"):
        subprocess.run(
            [sys.executable, "-c", check, option], check=True, timeout=60, env=environment()
        )


def test_a_scorer_does_not_wait_for_what_it_does_not_use():
    check = (
        "import sys, weir.commands.services.score\n"
        "from weir.services import build_explainer, build_scorer\n"
        "heavy = {'lightgbm', 'mlflow', 'pandas', 'scipy.linalg', 'scipy.stats', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60, env=environment())


@pytest.mark.parametrize("name", NAMES)
def test_each_command_explains_itself(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"Usage: weir {name}" in out
    assert "--help" in out
    assert "completion" not in out


def test_version_is_the_packages(run):
    assert run("--version") == (0, f"weir {__version__}\n", "")


def test_nothing_asked_for_shows_the_help(run):
    code, out, err = run()
    assert code == 2
    assert out + err.strip() == out
    assert "weir demo" in out


def test_a_reader_that_leaves_early_is_no_disaster():
    command = [sys.executable, "-m", "weir", "models", "--help"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    process.wait(60)
    assert errors == ""


# Mistakes


def one_line(result, code, *words):
    """Check that a mistake ended in one clear message with these words, and in this exit code."""
    got, out, err = result
    assert got == code, (out, err)
    assert out == ""
    assert "Traceback" not in err
    message = err.strip().splitlines()[-1]
    for word in words:
        assert str(word) in message, err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["trian", "Did you mean 'train'"]),
        (["models", "lst"], ["lst", "'list'"]),
        (["--nope"], ["--nope"]),
        (["train", "--dta", "x"], ["--dta", "--data"]),
        (["train", "--data", "x", "--archive", "y"], ["--data", "--archive", "--label-delay"]),
        (["train", "--label-delay", "soon"], ["--label-delay", "soon", "7d"]),
        (["train", "--reproduce", "1", "--promote"], ["--reproduce", "--data or --archive"]),
        (["features", "x.parquet"], ["--out"]),
        (["replay"], ["file"]),
        (["replay", "x", "--rate", "fast"], ["--rate", "number"]),
        (["replay", "x", "--rate", "0"], ["--rate", "0.001"]),
        (["replay", "x", "--rate", "5", "--speed", "2x"], ["--speed", "--rate", "not both"]),
        (["replay", "x", "--speed", "quick"], ["quick", "max"]),
        (["replay", "x", "--from", "2018-13-01"], ["--from", "2018-13-01", "2018-07-25T12:00"]),
        (["replay", "x", "--from", "2018-02-01", "--to", "2018-01-01"], ["not before"]),
        (["features", "x", "--out", "y", "--to", "soon"], ["--to", "soon"]),
        (["score", "--metrics-port", "many"], ["--metrics-port", "integer"]),
        (["broker", "start", "--port", "70000"], ["--port", "65535"]),
        (["demo", "--seconds", "nan"], ["--seconds"]),
        (["demo", "--seconds", "0"], ["--seconds"]),
        (["demo", "--rate", "1e12"], ["--rate", "5,000,000"]),
        (["demo", "--json", "/nowhere/x.json"], ["--json", "/nowhere"]),
    ],
)
def test_wrong_use_is_explained_with_exit_code_2(run, monkeypatch, arguments, words):
    monkeypatch.setenv("WEIR_CONFIG", str(EXAMPLE_FILE))
    one_line(run(*arguments), 2, *words)


def test_settings_that_are_missing_or_wrong_are_exit_code_2(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    one_line(run("models", "list"), 2, "weir.toml", "weir init", "--config")
    one_line(run("models", "list", "-c", "no.toml"), 2, "'no.toml'")
    (tmp_path / "bad.toml").write_text("[kafka")
    one_line(run("models", "list", "-c", "bad.toml"), 2, "bad.toml", "not TOML")
    config = write_settings(tmp_path / "weir.toml", windows={"lateness": "1h"})
    one_line(run("topics"), 2, config.name, "windows.lateness", "no such key")
    write_settings(config)
    monkeypatch.setenv("WEIR_KAFAK__BOOTSTRAP_SERVERS", "x")
    one_line(run("topics"), 2, "WEIR_KAFAK__BOOTSTRAP_SERVERS", "WEIR_KAFKA__BOOTSTRAP_SERVERS")


def test_init_writes_settings_that_load_and_never_overwrites(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run("init") == (0, "wrote weir.toml\n", "")
    assert load_settings(tmp_path / "weir.toml") == load_settings(EXAMPLE_FILE)
    (tmp_path / "weir.toml").write_text("mine")
    one_line(run("init"), 2, "weir.toml", "remove it")
    assert (tmp_path / "weir.toml").read_text() == "mine"
    one_line(run("init", "no/such/folder.toml"), 1, "no/such/folder.toml")


def bad_files(folder):
    """Files of events that can't be trained on, with what the message has to name."""
    good = pq.read_table(write_events(folder / "good.parquet"))
    yield folder / "missing.parquet", ["missing.parquet", "No such file"]
    (folder / "text.parquet").write_text("hello")
    yield folder / "text.parquet", ["text.parquet"]
    (folder / "empty.csv").write_text("")
    yield folder / "empty.csv", ["empty.csv"]
    (folder / "events.xlsx").write_text("")
    yield folder / "events.xlsx", ["events.xlsx", ".parquet", ".csv"]
    yield folder, [folder.name]
    for name, table, words in (
        ("norows.parquet", good.slice(0, 0), ["no rows"]),
        ("column.csv", good.rename_columns({"amount": "amont"}), ["'amount'", "[event]", "amont"]),
        ("nolabel.parquet", good.drop(["is_fraud"]), ["'is_fraud'", "labels.field"]),
        (
            "honest.parquet",
            good.set_column(7, "is_fraud", pa.array(np.zeros(len(good), np.int8))),
            ["fraud"],
        ),
        ("short.parquet", good.slice(0, 20), ["short.parquet", "16", "10 of each"]),
        (
            "maybe.parquet",
            good.set_column(7, "is_fraud", pa.array(np.full(len(good), 2, np.int8))),
            ["is_fraud", "2"],
        ),
    ):
        if name.endswith(".csv"):
            pyarrow.csv.write_csv(table, folder / name)
        else:
            pq.write_table(table, folder / name)
        yield folder / name, words


def test_a_file_that_cannot_be_trained_on_is_exit_code_1(run, tmp_path):
    config = write_settings(tmp_path / "weir.toml")
    for file, words in bad_files(tmp_path):
        one_line(run("train", "--data", file, "-c", config, "--no-progress"), 1, *words)
    assert run("models", "list", "-c", config)[1] == "no models yet: train one with `weir train`\n"


def test_no_champion_is_exit_code_1(run, tmp_path, kafka, make_topics, monkeypatch):
    config = write_settings(tmp_path / "weir.toml", topics=topics_of(make_topics))
    one_line(run("models", "show", "-c", config), 1, "champion", "weir train")
    monkeypatch.setenv("WEIR_KAFKA__BOOTSTRAP_SERVERS", kafka)
    one_line(run("score", "-c", config), 1, "champion", "weir train")


def test_kafka_that_does_not_answer_is_exit_code_3(run, monkeypatch, tmp_path):
    config = write_settings(tmp_path / "weir.toml", broker={"data_dir": str(tmp_path / "broker")})
    for command in (["topics"], ["evaluate"], ["score"], ["replay", "x.parquet"]):
        one_line(run(*command, "-c", config), 3, "kafka.bootstrap_servers", "weir broker start")
    monkeypatch.setenv("WEIR_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    one_line(run("topics", "-c", config), 3, "127.0.0.1:1")
    assert run("broker", "status", "-c", config)[0] == 3


# Training and the registry


def test_the_same_data_and_settings_give_the_same_package(given, tmp_path):
    config = write_settings(tmp_path / "weir.toml")
    assert load_settings(config).data_dir != load_settings(given.config).data_dir
    done = weir("train", "--data", given.events, "--json", "-c", config)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["package_id"] == given.model["package_id"]


def test_a_model_of_a_file_is_made_again_from_its_card(given, run, tmp_path):
    other = {"data_dir": str(given.folder / "data"), "training": {"seed": 5}}  # the card counts
    config = write_settings(tmp_path / "weir.toml", **other)
    again = ("train", "--reproduce", "champion", "-c", config, "--no-progress")
    code, out, _ = run(*again, "--data", given.events)
    assert (code, "bit for bit" in out) == (0, True)
    one_line(run(*again), 1, "SHA-256", given.model["package_id"][:12], "--data")
    fewer = tmp_path / "fewer.parquet"
    events = pq.read_table(given.events)
    pq.write_table(events.slice(0, len(events) - 500), fewer)
    code, out, _ = run(*again, "--data", fewer, "--json")
    said = json.loads(out)
    assert (code, said["same"]) == (1, False)
    assert any("500" in each or "rows then" in each for each in said["differences"])
    assert "model.onnx differs" in said["differences"]
    declared = tomllib.loads(config.read_text())["features"][:-1]
    write_settings(config, **other, features=declared)
    one_line(run(*again, "--data", given.events), 1, "the settings declare features")


def test_the_prequential_protocol_trains_and_tests_fold_by_fold(given, run, tmp_path):
    spans = {"prequential": {"folds": 2, "train": "20d", "test": "10d"}}
    config = write_settings(tmp_path / "weir.toml", **spans)
    asked = ("train", "--data", given.events, "--protocol", "prequential", "-c", config)
    code, out, err = run(*asked, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    first, second = said["folds"]
    assert first["fold"]["test_stop"] == second["fold"]["test_start"]
    assert first["tested"] > first["frauds"] > 10
    mean = (first["auc"] + second["auc"]) / 2
    assert said["mean"]["auc"] == pytest.approx(mean)
    assert not (tmp_path / "data" / "registry.db").exists()
    write_settings(config, prequential=spans["prequential"] | {"folds": 1})
    code, out, _ = run(*asked, "--no-progress")
    assert (code, f"{second['auc']:.3f}" in out) == (0, True)
    early = run(*asked, "--to", "2000-01-01")
    one_line(early, 1, "begins on", "[prequential]")
    nothing = run("train", "--protocol", "prequential", "-c", config)
    one_line(nothing, 1, "no archive at", "--data")
    refused = run(*asked, "--promote")
    one_line(refused, 2, "--protocol", "registers nothing")


def test_a_search_trains_with_what_did_best_before_the_hold_out(given, run, tmp_path):
    config = write_settings(
        tmp_path / "weir.toml",
        training={"family": "logistic", "search": {"folds": 2}},
        prequential={"train": "20d", "test": "8d"},
    )
    asked = ("train", "--data", given.events, "-c", config)
    code, out, err = run(*asked, "--trials", "3", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    found = said["search"]
    assert found["figure"] >= found["as_set"] > 0
    assert (found["trials"], found["ended"], found["metric"]) == (3, "trials", "average_precision")
    registry = open_registry(load_settings(config))
    card = registry.resolve(said["version"]).card
    assert found["stop"] <= card.data.last_time - 0.2 * 86_400_000
    assert card.searched.figure == found["figure"]
    for key, value in found["best"]["parameters"].items():
        section, name = key.split(".")
        assert card.parameters[section][name] == value
    client = MlflowClient(f"sqlite:///{tmp_path / 'data' / 'registry.db'}")
    runs = client.search_runs([client.get_experiment_by_name("weir-fraud").experiment_id])
    below = [each for each in runs if "mlflow.parentRunId" in each.data.tags]
    assert sorted(each.info.run_name for each in below) == [
        "as set",
        *(f"trial {n}" for n in (1, 2, 3)),
    ]
    best = max(each.data.metrics["average_precision"] for each in below)
    assert best == pytest.approx(found["figure"])
    assert sum("dense.l2" in each.data.params for each in below) == 3
    code, out, _ = run(*asked, "--reproduce", "1", "--no-progress")
    assert (code, "bit for bit" in out) == (0, True)
    one_line(run(*asked, "--search", "soon"), 2, "--search", "soon")
    one_line(run(*asked, "--reproduce", "1", "--trials", "3"), 2, "goes by the model's card")
    once = {"train": "20d", "test": "8d", "folds": 1}
    write_settings(
        config, training={"family": "logistic", "search": {"folds": 1}}, prequential=once
    )
    code, out, _ = run(*asked, "--trials", "1", "--no-progress", "--protocol", "prequential")
    assert code == 0, out
    assert "search: trials 1, folds 1," in out
    assert out.index("average precision") < out.index("mean")


def test_training_without_a_file_asks_for_an_archive(run, tmp_path):
    config = write_settings(tmp_path / "weir.toml")
    one_line(run("train", "-c", config), 1, "no archive at", "--data", "weir archive")


def test_mlflow_shows_the_data_of_a_run(given):
    client = MlflowClient(f"sqlite:///{given.folder / 'data' / 'registry.db'}")
    (version,) = client.search_model_versions("name = 'fraud' and version_number = 1")
    curves = sorted(each.path for each in client.list_artifacts(version.run_id, "curves"))
    assert curves == [
        f"curves/{name}.csv" for name in ("by_threshold", "calibration", "importance")
    ]
    by_round = client.get_metric_history(version.run_id, "average_precision_by_round")
    assert len({each.step for each in by_round}) > 5
    (shown,) = client.get_run(version.run_id).inputs.dataset_inputs
    sha256 = hashlib.sha256(given.events.read_bytes()).hexdigest()
    assert (shown.dataset.name, shown.dataset.digest) == ("events", sha256[:36])
    assert json.loads(shown.dataset.source)["label_delay"] == 7 * 86_400_000
    assert json.loads(shown.dataset.profile)["rows"] > 5_000


def test_another_seed_gives_another_package_and_leaves_the_champion_if_told(given, run, tmp_path):
    config = write_settings(tmp_path / "weir.toml", data_dir=str(given.folder / "data"))
    values = config.read_text().replace("threads = 1", "threads = 1\nseed = 99")
    config.write_text(values)
    code, out, err = run(
        "train", "--data", given.events, "-c", config, "--json", "--alias", "shadow-a"
    )
    assert (code, err) == (0, "")
    other = json.loads(out)
    assert other["package_id"] != given.model["package_id"]
    models = json.loads(run("models", "list", "-c", config, "--json")[1])["models"]
    assert [(m["version"], m["aliases"]) for m in models[-1:]] == [(1, ["champion"])]
    assert models[0]["aliases"] == ["shadow-a"]
    shown = json.loads(run("models", "show", "-c", config, "--json")[1])
    assert shown["package_id"] == given.model["package_id"]
    assert shown["card"]["data"]["frauds"] > 500
    one_line(run("models", "show", "9", "-c", config), 1, "9")


# Features


def test_features_are_those_of_the_scorers_own_state(given, run, tmp_path):
    declared = tomllib.loads(given.config.read_text())["features"]
    plain = [feature for feature in declared if feature["kind"] != "label"]
    config = write_settings(tmp_path / "weir.toml", features=plain)
    code, out, err = run(
        "features", given.events, "--out", tmp_path / "f.parquet", "-c", config, "--json"
    )
    assert (code, err) == (0, "")
    settings = load_settings(config)
    events = open_events(given.events, settings.event)
    state = FeatureState(settings.plan(), settings.windows)
    expected = state.update(events.batch(0, len(events))).matrix
    said, table = json.loads(out), pq.read_table(tmp_path / "f.parquet")
    names = settings.plan().names
    assert table.column_names == ["transaction_id", "time", *names]
    written = np.column_stack([table[name].to_numpy() for name in names])
    assert np.array_equal(written, expected, equal_nan=True)
    assert (said["rows"], said["features"]) == (len(events), len(names))
    assert said["feature_schema"] == settings.plan().schema_hash


def test_from_is_the_first_row_to_is_left_out_and_history_counts(given, run, tmp_path):
    def features(name, *span):
        out = tmp_path / name
        assert run("features", given.events, "--out", out, "-c", given.config, *span)[0] == 0
        return pq.read_table(out)

    whole = features("whole.parquet")
    times = whole["time"].cast(pa.timestamp("ms")).to_pylist()
    first, last = times[4_000], times[5_000]
    part = features(
        "part.parquet", "--from", first.isoformat(), "--to", last.isoformat() + "+00:00"
    )
    inside = [i for i, each in enumerate(times) if first <= each < last]
    assert part.equals(whole.take(inside))
    assert pc.min(part["customer_count_30d"]).as_py() > 1
    float32 = features("32.parquet", "--float32")
    assert float32["amount"].type == pa.float32()
    assert float32["amount"].equals(whole["amount"].cast(pa.float32()))


def test_a_span_without_events_is_said(given, run, tmp_path):
    out = tmp_path / "none.parquet"
    result = run("features", given.events, "--out", out, "-c", given.config, "--from", "2099-01-01")
    one_line(result, 1, "events.parquet", "--from 2099-01-01")
    assert not out.exists()


# Through Kafka and back


def topics_of(make_topics, partitions=2):
    names = make_topics(*(role.replace("_", "-") for role in ROLES), partitions=partitions)
    return dict(zip(ROLES, names, strict=True))


def test_replay_score_and_evaluate_agree_on_every_event(
    given, run, kafka, make_topics, tmp_path, monkeypatch
):
    config = write_settings(
        tmp_path / "weir.toml", topics=topics_of(make_topics), data_dir=str(given.folder / "data")
    )
    there = {"WEIR_KAFKA__BOOTSTRAP_SERVERS": kafka, "WEIR_CONFIG": str(config)}
    table = pq.read_table(given.events)
    begin = table["time"][6_000].as_py().isoformat()
    live = table.filter(pc.greater_equal(table["time"], table["time"][6_000]))

    done = weir("replay", given.events, "--from", begin, "--flush-labels", "--json", **there)
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    # Labels of earlier events that fall due in the span belong to it as well.
    assert (sent["events"], sent["stopped"]) == (len(live), False)
    assert sent["labels"] >= len(live)

    log = (tmp_path / "scorer.log").open("wb")
    scorer = subprocess.Popen(
        [sys.executable, "-m", "weir", "score", "--metrics-port", "0"],
        env=environment(**there),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    settings = load_settings(config)
    answers = settings.kafka.model_copy(update={"bootstrap_servers": kafka})
    try:
        deadline = time.monotonic() + 60
        while len(read_scores(answers, settings.topics.scores).ids) < len(live):
            assert time.monotonic() < deadline, (tmp_path / "scorer.log").read_text()
            assert scorer.poll() is None, (tmp_path / "scorer.log").read_text()
            time.sleep(0.1)
    finally:
        scorer.send_signal(signal.SIGTERM)
        assert scorer.wait(30) == 0
        log.close()
    done = weir("evaluate", "--json", **there)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    frauds = pc.sum(live["is_fraud"]).as_py()
    assert (result["events"], result["labelled"], result["frauds"]) == (
        len(live),
        len(live),
        frauds,
    )
    assert result["duplicates"] == 0
    assert (result["unanswered"], result["repeated_ids"]) == (0, 0)
    assert sum(each["events"] for each in result["decisions"].values()) == len(live)

    pyarrow.csv.write_csv(live.select(["transaction_id"]).slice(0, 100), tmp_path / "ids.csv")
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    chosen = json.loads(run("evaluate", "--json", "--ids", tmp_path / "ids.csv")[1])
    assert chosen["events"] == 100
    assert chosen["frauds"] == pc.sum(live["is_fraud"].slice(0, 100)).as_py()

    none = json.loads(run("evaluate", "--json", "--to", begin)[1])
    assert none["events"] == 0
    assert none["undefined"]["auc"] == "no labelled events"
    for bad, words in (("no.csv", "no.csv"), (config, "weir.toml")):
        one_line(run("evaluate", "--ids", bad), 1, words)
    # One that was sent since has no answer, and an id that was sent again is one event.
    again = live.slice(0, 1)
    unheard = again.set_column(0, "transaction_id", [[10**9]])
    pq.write_table(pa.concat_tables([again, unheard]), tmp_path / "more.parquet")
    assert weir("replay", tmp_path / "more.parquet", "--no-labels", **there).returncode == 0
    done = weir("evaluate", **there)
    assert done.returncode == 0
    assert "average precision" in done.stdout
    assert "1 events of" in done.stdout
    assert "1 ids stand in" in done.stdout
    pyarrow.csv.write_csv(pa.table({"id": [10**9, again[0][0].as_py()] * 2}), tmp_path / "ids.csv")
    chosen = json.loads(run("evaluate", "--json", "--ids", tmp_path / "ids.csv")[1])
    assert [chosen[each] for each in ("events", "unanswered", "repeated_ids")] == [1, 1, 2]
    assert "\x1b" not in done.stdout + done.stderr


def test_topics_are_made_once_and_listed(kafka, run, tmp_path, monkeypatch):
    monkeypatch.delenv("WEIR_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    prefix = f"t{time.time_ns()}"
    topics = {role: f"{prefix}.{role}" for role in ROLES} | {"partitions": 3}
    config = write_settings(
        tmp_path / "weir.toml", topics=topics, kafka={"bootstrap_servers": kafka}
    )
    for made in (True, False):
        code, out, _ = run("topics", "-c", config, "--json")
        assert code == 0
        assert json.loads(out)["topics"] == [
            {
                "role": role,
                "topic": topics[role],
                "partitions": 1 if role in SINGLE else 3,
                "made": made,
            }
            for role in ROLES
        ]
    assert f"{prefix}.scores" in run("topics", "-c", config)[1]


def test_replay_stopped_by_ctrl_c_says_from_where_to_go_on(given, kafka, make_topics, tmp_path):
    topics = topics_of(make_topics)
    config = write_settings(tmp_path / "weir.toml", topics=topics)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "weir",
            "replay",
            given.events,
            "--rate",
            "200",
            "--json",
            "-c",
            config,
        ],
        env=environment(WEIR_KAFKA__BOOTSTRAP_SERVERS=kafka),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    kafka_settings = KafkaSettings(bootstrap_servers=kafka)
    while not any(read_to_end(kafka_settings, topics["events"])):
        assert time.monotonic() < deadline, "nothing is sent"
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    first = json.loads(out)
    assert first["stopped"]
    assert 0 < first["events"] < 8_000
    rest = weir(
        "replay",
        given.events,
        "--json",
        "--flush-labels",
        "-c",
        config,
        "--from",
        f"{np.datetime64(first['resume_from_ms'], 'ms')}Z",
        WEIR_KAFKA__BOOTSTRAP_SERVERS=kafka,
    )
    assert rest.returncode == 0, rest.stderr
    total = pq.read_metadata(given.events).num_rows
    assert first["events"] + json.loads(rest.stdout)["events"] == total
    assert first["labels"] + json.loads(rest.stdout)["labels"] == total
