"""`weir demo` as a user runs it, and as one who stops, kills or misleads it."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from front_door import environment, processes_of, weir, write_events, write_settings

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Events and settings of a user's own, and a folder in which one demo ran to its end."""
    inputs = tmp_path_factory.mktemp("inputs")
    given = SimpleNamespace(
        events=write_events(inputs / "events.parquet"),
        config=write_settings(inputs / "own.toml", topics={"partitions": 2}),
        folder=tmp_path_factory.mktemp("demo"),
    )
    given.options = [
        "--dir",
        given.folder,
        "--data",
        given.events,
        "--config",
        given.config,
        "--rate",
        "300",
    ]
    given.elsewhere = inputs / "elsewhere"
    (given.elsewhere / "broker" / "topics").mkdir(parents=True)
    given.first = weir(
        "demo",
        *given.options,
        "--alone",
        "--seconds",
        "3",
        "--json",
        "-",
        WEIR_BROKER__DATA_DIR=str(given.elsewhere / "broker"),
        WEIR_DATA_DIR=str(given.elsewhere / "data"),
        WEIR_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
    )
    return given


def nothing_runs(folder, within_s=10.0):
    """Check that no broker and no scorer of a demo's folder is left, or left within a moment."""
    deadline = time.monotonic() + within_s
    while running := processes_of(folder):
        if time.monotonic() > deadline:
            pytest.fail(f"left running: {running}")
        time.sleep(0.1)


def check_summary(summary, events, live):
    assert (summary["events"], summary["scored"]) == (events, events)
    assert summary["lost"] == summary["duplicated"] == summary["dead_letters"] == 0
    assert sum(summary["decisions"].values()) == events
    assert summary["history_events"] == events - live
    assert 0 < summary["events_per_second"] < 360  # a machine that is busy may be slower
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    quality = summary["quality"]
    assert (quality["events"], quality["labelled"]) == (live, live)
    assert 0.5 < quality["auc"] <= 1


def start(given, stage, *, after=0.0):
    """Start a demo in a session of its own, and return it once its log shows that stage.

    It streams as many live events as the others here, slowly.
    """
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "weir",
            "demo",
            *map(str, given.options),
            "--alone",
            "--seconds",
            "20",
            "--rate",
            "45",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    said = ""
    for line in process.stderr:
        said += line
        if stage in line:
            time.sleep(after)
            return process
    pytest.fail(f"never came to {stage!r}: {said}{process.communicate()}")


def test_every_event_is_answered_once_and_the_summary_is_all_of_stdout(given):
    done = given.first
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    check_summary(summary, pq.read_metadata(given.events).num_rows, live=900)
    assert summary["model"] != ""
    assert summary["data_dir"] == str(given.folder)
    # Nor did the environment lead it out of there.
    assert (given.elsewhere / "broker" / "topics").is_dir()
    assert not (given.elsewhere / "data").exists()
    nothing_runs(given.folder, within_s=0)


def test_a_pipe_gets_a_line_for_each_step_and_no_control_codes(given):
    lines = given.first.stderr.splitlines()
    assert "Apache Kafka: starting Apache Kafka" in lines
    assert any(line.startswith("live, 300 events/s") for line in lines)
    assert all(line.isprintable() and line for line in lines)


@pytest.mark.parametrize(
    ("stage", "after", "number"),
    [
        ("reading", 0.0, signal.SIGINT),
        ("starting Apache Kafka", 1.0, signal.SIGTERM),
        pytest.param("opening the registry", 0.3, signal.SIGINT, marks=pytest.mark.exhaustive),
        pytest.param("catching up", 0.2, signal.SIGTERM, marks=pytest.mark.exhaustive),
        ("live", 2.0, signal.SIGINT),
    ],
)
def test_a_stop_at_any_moment_leaves_nothing_running(given, stage, after, number):
    process = start(given, stage, after=after)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=45)
    nothing_runs(given.folder, within_s=5)
    assert process.returncode == 130, (out, err)
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "stopped"


def test_a_second_demo_is_refused_and_a_killed_one_takes_all_along(given):
    if sys.platform != "linux":
        pytest.skip("only Linux lets children end with a parent that was killed")
    process = start(given, "live", after=1.0)
    assert len(processes_of(given.folder)) == 3
    second = weir("demo", *given.options, "--alone")
    assert second.returncode == 1
    assert f"a broker runs in {given.folder} already" in second.stderr
    assert process.poll() is None
    process.kill()
    process.communicate()
    nothing_runs(given.folder, within_s=35)


def test_a_killed_scorer_ends_the_demo_with_the_end_of_its_log(given):
    process = start(given, "live", after=1.0)
    (scorer,) = [
        each for each in psutil.Process(process.pid).children() if "score" in each.cmdline()
    ]
    scorer.kill()
    out, err = process.communicate(timeout=45)
    assert (process.returncode, out) == (1, "")
    assert f"exit code -9; its log {given.folder / 'scorer.log'} ends:" in err
    assert "scoring weir.events with model" in err
    assert "Traceback" not in err
    nothing_runs(given.folder, within_s=0)


@pytest.mark.exhaustive  # a minute, and more beside other tests
def test_a_candidate_is_tried_and_drift_is_watched(given):
    options = ["--seconds", "3", "--json", "-"]
    done = weir("demo", *given.options, *options, timeout=600)
    assert done.returncode == 0, done.stderr
    trial = json.loads(done.stdout)["trial"]
    assert trial["compared"] > 0
    assert trial["scored"] >= trial["compared"]
    assert trial["drift"] is not None
    nothing_runs(given.folder, within_s=0)


@pytest.mark.exhaustive
def test_a_killed_broker_ends_the_demo(given):
    process = start(given, "live", after=1.0)
    (broker,) = [
        each for each in psutil.Process(process.pid).children() if "kafka.Kafka" in each.cmdline()
    ]
    broker.kill()
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"error: the broker ended; its log is {given.folder / 'broker' / 'server.log'}"
    )
    nothing_runs(given.folder, within_s=0)


@pytest.mark.exhaustive
def test_the_run_after_all_this_is_as_the_first_and_needs_no_training(given, tmp_path):
    report = tmp_path / "report.json"
    options = ["--seconds", "3", "--json", report, "--no-progress"]
    done = weir("demo", *given.options, "--alone", *options)
    assert (done.returncode, done.stderr) == (0, "")
    first, last = json.loads(given.first.stdout), json.loads(report.read_text())
    check_summary(last, pq.read_metadata(given.events).num_rows, live=900)
    assert (last["model"], last["quality"]) == (first["model"], first["quality"])
    assert "events sent" in done.stdout
    assert f"weir evaluate --config {given.folder / 'weir.toml'}\n" in done.stdout


@pytest.mark.exhaustive
def test_other_events_from_a_csv_get_a_model_of_their_own(given, tmp_path):
    table = pq.read_table(given.events)
    pyarrow.csv.write_csv(table.slice(0, 7_000), tmp_path / "events.csv")
    options = ["--data", tmp_path / "events.csv", "--seconds", "3", "--json", "-"]
    done = weir("demo", *given.options, "--alone", *options)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    check_summary(summary, 7_000, live=900)
    listed = weir("models", "list", "--json", "--config", given.folder / "weir.toml")
    models = json.loads(listed.stdout)["models"]
    assert [each["aliases"] for each in models if "candidate" not in each["aliases"]] == [
        ["champion"],
        [],
    ]
    first = json.loads(given.first.stdout)["model"]
    assert {summary["model"], first} <= {model["package_id"][:12] for model in models}
    nothing_runs(given.folder, within_s=0)


# What is refused, before anything is started


def refused(done, code, *words):
    got, out, err = done
    assert got == code, err
    assert out == ""
    assert "Traceback" not in err
    message = err.strip().splitlines()[-1]
    for word in words:
        assert str(word) in message
    assert "Kafka:" not in err


def test_a_folder_of_the_users_is_left_alone(run, tmp_path):
    mine = tmp_path / "weir.toml"
    mine.write_text("mine")
    (tmp_path / "broker").mkdir()
    refused(run("demo", "--dir", tmp_path), 2, tmp_path, "--dir")
    assert mine.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["broker", "weir.toml"]


def test_a_folder_that_cannot_be_made_is_named(run, tmp_path):
    (tmp_path / "file").write_text("")
    refused(run("demo", "--dir", tmp_path / "file"), 1, tmp_path / "file", "File exists")
    refused(run("demo", "--dir", "/proc/demo"), 1, "/proc/demo")


def test_data_that_cannot_be_played_is_named(run, tmp_path, given):
    def demo(data, config=given.config):
        return run("demo", "--dir", tmp_path / "demo", "--data", data, "-c", config)

    refused(demo("no.parquet"), 1, "no.parquet", "No such file")
    table = pq.read_table(given.events)
    pq.write_table(table.slice(0, 3), tmp_path / "tiny.parquet")
    refused(demo(tmp_path / "tiny.parquet"), 2, "tiny.parquet", "3 events")
    pq.write_table(table.slice(0, 300), tmp_path / "short.parquet")
    refused(demo(tmp_path / "short.parquet"), 2, "short.parquet", "labels.delay")
    twice = write_settings(tmp_path / "twice.toml")
    twice.write_text(twice.read_text().replace('id = "transaction_id"', 'id = "terminal_id"'))
    refused(demo(given.events, twice), 2, "events.parquet", "'terminal_id'")
    refused(demo(given.events, tmp_path / "no.toml"), 2, "no.toml")
