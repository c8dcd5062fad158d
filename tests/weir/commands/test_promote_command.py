"""Models and policies change under a running scorer; each score names what gave it."""

import json
import shutil
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from front_door import registry_of, write_settings
from running_scorer import Scorer, replay

from inference.backends.cpu import CpuEngine
from inference.control.commands import CHAMPION_KEY, POLICY_KEY
from inference.packages.registry import Registry
from streams.feature_log import feature_matrix, read_feature_log
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.control_topic import ControlReader, write_control
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry

COUNT = 600
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with a registry of three models, the first of them champion, and their events."""
    folder = tmp_path_factory.mktemp("models")
    return folder, registry_of(folder, (1, 2, 3))


@pytest.fixture
def config(kafka: str, world: tuple[Path, Path], tmp_path: Path) -> Path:
    """Settings with a registry and topics of the test's own."""
    run = uuid.uuid4().hex[:8]
    shutil.copytree(world[0] / "data", tmp_path / "data")
    return write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": kafka},
        topics={"partitions": 2} | {role: f"{role}-{run}" for role in ROLES},
        loop={"group": f"scorer-{run}", "session_timeout": "6s"},
        metrics={"port": 0},
    )


def packages(registry: Registry) -> dict[int, str]:
    return {model.version: model.package_id for model in registry.versions()}


def scores(settings: Settings) -> list[dict[str, Any]]:
    return [
        json.loads(message.value() or b"")
        for batch in read_to_end(settings.kafka, settings.topics.scores)
        for message in batch
    ]


def answered(scorer: Scorer, count: int) -> Callable[[], bool]:
    return lambda: scorer.metrics()["weir_events_total"] == count


def test_promotion_policy_and_rollback_take_effect_between_batches(
    config: Path, world: tuple[Path, Path], start: Callable[..., Scorer], run: Run
) -> None:
    settings = load_settings(config)
    ids = packages(open_registry(settings))
    scorer = start(config)
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)
    expected: list[tuple[str, str]] = []
    steps: list[tuple[list[str], int, str]] = [
        ([], 1, "1"),
        (["models", "promote", "2", "--note", "better"], 2, "1"),
        (["policy", "set", "review_alert_rate=0.2", "--version", "wide"], 2, "wide"),
        (["models", "promote", "3"], 3, "wide"),
        (["models", "rollback"], 2, "wide"),
        (["models", "rollback"], 1, "wide"),
    ]
    for step, (command, version, policy) in enumerate(steps, 1):
        if command:
            code, out, err = run(*command, "-c", config, "--json")
            assert code == 0, err
            (report,) = json.loads(out)["scorers"].values()
            assert (report["outcome"], report["model"], report["policy"]) == (
                "serving",
                ids[version],
                policy,
            )
        replay(config, world[1], COUNT)
        scorer.wait_for(answered(scorer, COUNT * step))
        expected.append((ids[version][:12], policy))
    metrics = scorer.metrics()
    assert metrics["weir_model_changes_total:serving"] == len(steps) - 1
    infos = [name for name in metrics if name.startswith("weir_model_info:")]
    assert len(infos) == 1
    assert ids[1][:12] in infos[0]
    assert scorer.end() == 0
    assert "Traceback" not in scorer.log

    found = [(score["model"], score["policy"]) for score in scores(settings)]
    for place, pair in enumerate(expected):
        # Every step's events have one answer each, all by what was promoted before they were sent.
        assert found.count(pair) == COUNT * expected.count(pair), place
    assert_scored_by_the_named_models(settings)
    assert open_registry(settings).get("champion").version == 1
    no_scorer = json.loads(run("models", "serving", "-c", config, "--json")[1])
    assert no_scorer["champion"]["model"]["package"] == ids[1]
    assert no_scorer["policy"]["policy"]["version"] == "wide"
    assert no_scorer["scorers"] == {}, "a scorer that ends takes its report back"


def assert_scored_by_the_named_models(settings: Settings) -> None:
    """Every score in the feature log is that of the model that its record names."""
    registry = open_registry(settings)
    engines = {}
    for model in registry.versions():
        package = registry.resolve(model.version)
        engines[package.short_id] = CpuEngine(package, settings.plan().names)
    seen = set()
    for batch in read_to_end(settings.kafka, settings.topics.feature_log):
        for message in batch:
            table = read_feature_log(message.value() or b"")
            name = table.schema.metadata[b"weir.model"].decode()
            seen.add(name)
            outputs = engines[name].infer(feature_matrix(table))
            assert abs(outputs.score - table["score"].to_numpy()).max() < 1e-5
    assert seen == set(engines)


def test_a_bad_package_leaves_the_old_one_serving_also_after_a_restart(
    config: Path, world: tuple[Path, Path], start: Callable[..., Scorer], run: Run
) -> None:
    settings = load_settings(config)
    ids = packages(open_registry(settings))
    scorer = start(config)
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)
    assert run("models", "promote", "2", "-c", config)[0] == 0
    bad = {
        "model": {"version": 3, "package": "0" * 64},
        "by": "mallory",
        "at": 0,
        "before": [{"version": 2, "package": ids[2]}],
    }
    for value in (b"\x00garbage", b"{}", json.dumps(bad).encode()):
        before = scorer.metrics().get("weir_model_changes_total:refused", 0)
        write_control(settings.kafka, settings.topics.control, CHAMPION_KEY, value)
        scorer.wait_for(
            lambda before=before: (
                scorer.metrics().get("weir_model_changes_total:refused", 0) > before
            )
        )
    replay(config, world[1], COUNT)
    scorer.wait_for(answered(scorer, COUNT))
    assert scorer.end() == 0
    assert {score["model"] for score in scores(settings)} == {ids[2][:12]}

    again = start(config)
    again.wait_for(lambda: again.metrics().get("weir_ready") == 1)
    assert "can't serve" in again.log
    shown = run("models", "serving", "-c", config)[1]
    assert "refused" in shown
    assert ids[2][:12] in shown
    assert again.end() == 0
    assert "Traceback" not in scorer.log + again.log

    for key in (CHAMPION_KEY, POLICY_KEY):
        write_control(settings.kafka, settings.topics.control, key, b"\x00garbage")
    open_registry(settings).set_alias(CHAMPION_KEY, 1)
    note = ["--note", "see [/1234]", "-c", config]
    assert run("models", "promote", "3", *note)[0] == 0, "said again, over what can't be read"
    assert run("policy", "set", "anomaly_review=0.99", "--version", "[/2]", *note)[0] == 0
    shown = run("models", "serving", "-c", config)[1]
    assert "[/1234]" in shown
    assert "[/2]" in shown
    open_registry(settings).set_alias(CHAMPION_KEY, 2)
    assert run("models", "promote", "3", "-c", config)[0] == 0
    assert open_registry(settings).get(CHAMPION_KEY).version == 3, "the alias follows at last"


def test_what_every_scorer_refuses_is_taken_back(
    config: Path, tmp_path: Path, start: Callable[..., Scorer], run: Run
) -> None:
    settings = load_settings(config)
    ids = packages(open_registry(settings))
    # The scorer runs on a machine where all models but the champion were damaged.
    theirs = shutil.copytree(settings.data_dir, tmp_path / "theirs")
    Registry(settings.registry, theirs).resolve(CHAMPION_KEY)
    for file in (theirs / "artifacts").rglob("thresholds.json"):
        file.write_text(file.read_text() + "\n")
    other = tmp_path / "theirs.toml"
    other.write_text(config.read_text().replace(str(settings.data_dir), str(theirs)))
    scorer = start(other)
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)

    code, out, err = run("models", "promote", "3", "-c", config, "--wait", "120")
    assert code == 1, out + err
    assert "it is taken back: the champion is the one that the registry names again" in out
    assert open_registry(settings).get(CHAMPION_KEY).version == 1
    told = json.loads(run("models", "serving", "-c", config, "--json")[1])
    assert told["champion"] is None
    (report,) = told["scorers"].values()
    assert report["model"] == ids[1]
    assert scorer.end() == 0
    assert "Traceback" not in scorer.log


def test_a_new_model_is_promoted_on_the_control_topic_or_stays_a_candidate(
    config: Path, world: tuple[Path, Path], run: Run
) -> None:
    settings = load_settings(config)
    assert run("topics", "-c", config)[0] == 0
    again = config.read_text().replace("[training]", "[training]\nseed = 2")
    config.write_text(again)
    train = ("train", "--data", world[1], "-c", config, "--no-progress")
    code, out, err = run(*train)
    assert code == 0, err
    assert "version 2\n" in out
    assert "`weir models promote 2` makes it champion" in out
    with closing(ControlReader(settings.kafka, settings.topics.control)) as reader:
        assert reader.read_to_end() == {}
    assert open_registry(settings).get(CHAMPION_KEY).version == 1
    code, out, err = run(*train, "--promote", "--by", "ada", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["version"], told["promotion"]["changed"]) == (2, True)
    told = json.loads(run("models", "serving", "-c", config, "--json")[1])["champion"]
    assert (told["model"]["version"], told["by"]) == (2, "ada")
    assert [each["version"] for each in told["before"]] == [1]
    assert open_registry(settings).get(CHAMPION_KEY).version == 2


def test_what_can_not_be_promoted_is_refused_here(config: Path, run: Run) -> None:
    settings = load_settings(config)
    assert run("topics", "-c", config)[0] == 0
    for arguments, code, says in (
        (["models", "promote", "9"], 1, "no version 9"),
        (["models", "rollback"], 1, "no champion before"),
        (["train", "--data", "x.csv", "--alias", "champion"], 2, "--promote makes the new model"),
        (["policy", "set", "reviw=1", "--version", "2"], 2, "write KEY=VALUE"),
        (["policy", "set", "review_alert_rate=0.5"], 2, "--version"),
        (["policy", "set", "deadline=150", "--version", "2"], 2, "policy.deadline"),
        (["policy", "set", "deadline=99999999999d", "--version", "2"], 2, "hundred years"),
        (
            [
                "policy",
                "set",
                "decline_probability=0.0001",
                "review_alert_rate=",
                "review_probability=0.9",
                "decline_alert_rate=",
                "--version",
                "2",
            ],
            1,
            "declining from",
        ),
    ):
        ended, _, err = run(*arguments, "-c", config)
        assert ended == code, err
        assert says in " ".join(err.split())
    with closing(ControlReader(settings.kafka, settings.topics.control)) as reader:
        assert reader.read_to_end() == {}
