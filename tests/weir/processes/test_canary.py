"""`weir canary`: arms on the stream of a real scorer, stepped up by their keeper."""

import json
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from front_door import registry_of, write_settings
from front_door import weir_here as weir
from running_scorer import Scorer, replay

from inference.control.commands import version_of
from inference.gates.record import ComparisonRecord, comparison_key
from inference.routing.assignment import Assignment
from inference.shadow.comparison.comparison import Verdict
from streams.base.clock import now_ms
from streams.feature_log import read_feature_log
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.control_topic import write_control
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry

COUNT = 1_500


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with a registry of two models, the first of them champion, and their events."""
    folder = tmp_path_factory.mktemp("models")
    return folder, registry_of(folder, (1, 7))  # of 1 and 2, decisions hardly differ


@pytest.fixture
def configured(kafka: str, world: tuple[Path, Path], tmp_path: Path) -> Callable[..., Path]:
    return partial(write_config, kafka, world, tmp_path)


@pytest.fixture
def config(configured: Callable[..., Path]) -> Path:
    return configured()


def write_config(kafka: str, world: tuple[Path, Path], tmp_path: Path, **canary: Any) -> Path:
    run = uuid.uuid4().hex[:8]
    shutil.copytree(world[0] / "data", tmp_path / "data")
    return write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": kafka},
        topics={"partitions": 2} | {role: f"{role}-{run}" for role in ROLES},
        loop={"group": f"scorer-{run}", "session_timeout": "6s"},
        canary={
            "group": f"canary-{run}",
            "steps": [0.3, 0.6, 1.0],
            "hold": "0s",
            "min_events": 100,
            "max_alert_ratio": 50,
            "every": "200ms",
        }
        | canary,
        gates={"enforce": True, "second_person": True},
        feature_log={"include": ["amount"]},
        policy={"costs": {"cap": 500, "friction": 20, "review": 5}},
        metrics={"port": 0},
    )


@pytest.fixture
def start() -> Iterator[Callable[..., Scorer]]:
    running: list[Scorer] = []

    def start(config: Path, *options: str, command: str = "score") -> Scorer:
        running.append(Scorer(config, *options, command=command))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


def said(config: Path, *arguments: object) -> Any:
    done = weir("canary", *arguments, "--json", "-c", config)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def records(settings: Settings, topic: str) -> list[bytes]:
    return [
        message.value() or b"" for batch in read_to_end(settings.kafka, topic) for message in batch
    ]


def share(settings: Settings) -> float:
    """The canary's, as the control topic says it last."""
    commands = [json.loads(value) for value in records(settings, settings.topics.control) if value]
    found: float = [each for each in commands if "arms" in each][-1]["arms"][0]["share"]
    return found


def scores(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(value) for value in records(settings, settings.topics.scores)]


def gates(config: Path) -> dict[str, str]:
    """Their states; superiority is never shown here, so that the command ends with 1."""
    shown = weir("models", "gates", "2", "--json", "-c", config)
    assert shown.returncode == 1, shown.stderr
    return {gate["name"]: gate["state"] for gate in json.loads(shown.stdout)["gates"]}


def promoted_after_a_waiver(config: Path, canary: str) -> None:
    """Nothing was found in the shadow: so the gates ask for a second person."""
    states = gates(config)
    assert states.pop("guardrails") == "passed"
    assert set(states.values()) == {"open"}
    promote = ("models", "promote", "2", "--by", "ada", "-c", config, "--json")
    for more in ((), ("--waive", "because")):
        refused = weir(*promote, *more)
        assert refused.returncode == 1
        assert "weir models waive 2" in refused.stderr
    waived = weir("models", "waive", "2", "--note", "the board", "--by", "ada", "-c", config)
    assert waived.returncode == 0, waived.stderr
    assert weir(*promote).returncode == 1, "it is her own word"
    done = weir(*(each if each != "ada" else "eve" for each in promote))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gates"]["superiority"] == "open"
    champion = json.loads(weir("models", "serving", "--json", "-c", config).stdout)["champion"]
    assert champion["model"]["package"].startswith(canary)
    assert champion["waived"] == "waived by ada: the board"


def check_radius(config: Path, found: list[dict[str, Any]], now: Assignment) -> None:
    """What the step from 0.3 to 0.6 will touch, beside what was scored and a replay of the past."""
    status = said(config, "status", "--blast-radius")
    told, experiment = status["blast_radius"], status["experiment"]["experiment"]
    keys = {each["key"] for each in found}
    after = Assignment(experiment, [0.6])
    touched = [each for each in found if after.arms([each["key"]])[0]]
    times = [each["event_time"] for each in found]
    daily = 86_400_000 / (max(times) - min(times))
    assert (told["share"], told["former"], told["looked_at"]) == (0.6, 0.3, COUNT)
    assert (told["since"], told["until"]) == (min(times), max(times))
    assert told["keys"] == after.arms(list(keys)).sum()
    assert told["new_keys"] == told["keys"] - now.arms(list(keys)).sum() > 0
    assert told["all_keys"] == len(keys)
    assert told["events"] == pytest.approx(len(touched) * daily)
    assert told["amounts"] > told["events"]
    assert told["asked"] == sum(each["arm"] == "champion" for each in found)
    past = json.loads(weir("shadow", "replay", "2", "--json", "-c", config).stdout)
    scale = len(touched) * daily / past["events"]
    # Frauds lie on few keys: chance may give them all to the canary, and then there is no flip.
    # What flips are counted as is tests/inference/canary/test_blast_radius.py.
    for first, row in told["flips"].items():
        for second, count in row.items():
            assert count == pytest.approx(past["decisions"][first][second] * scale)
            amounts = past["amounts"][first][second]
            assert told["flip_amounts"][first][second] == pytest.approx(amounts * scale, rel=1e-6)
    shown = weir("canary", "status", "--blast-radius", "-c", config).stdout
    assert "blast radius at 60.00% of the keys, from 30.00%" in shown
    assert "flips a day" in shown


def test_keys_have_the_arm_that_the_hash_gives_until_the_last_step(
    config: Path, world: tuple[Path, Path], start: Callable[..., Scorer]
) -> None:
    settings = load_settings(config)
    scorer = start(config)
    scorer.wait_for(lambda: scorer.readiness()[0] == 200, 120)
    started = said(config, "start", "2", "--by", "ada")
    begun = started["experiment"]
    assert "nothing that can be read stands on" in started["blast_radius"]["unknown"]
    assert (begun["arms"][0]["share"], begun["by"]) == (0.3, "ada")
    again = weir("canary", "start", "2", "-c", config)
    assert again.returncode == 2
    assert "weir canary abort" in again.stderr
    scorer.wait_for(lambda: "arm canary answers" in scorer.log, 120)
    replay(config, world[1], COUNT)
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 120)

    canary = begun["arms"][0]["model"]["package"][:12]
    assignment = Assignment(begun["experiment"], [0.3])
    found = scores(settings)
    assert len(found) == COUNT
    arms = assignment.arms([each["key"] for each in found]).tolist()
    assert 0.1 * COUNT < sum(arms) < 0.6 * COUNT
    for each, arm in zip(found, arms, strict=True):
        assert each["arm"] == ("champion", "canary")[arm]
        assert each["share"] == pytest.approx((0.7, 0.3)[arm])
        assert each["model"] == (begun["champion"][:12], canary)[arm]
        assert "stood_in" not in each
    logged = {}
    for value in records(settings, settings.topics.feature_log):
        table = read_feature_log(value)
        for row in table.select(["event_id", "arm", "model", "share"]).to_pylist():
            logged[row["event_id"]] = row
        assert set(table["model"].to_pylist()) == {table.schema.metadata[b"weir.model"].decode()}
    assert {event: (row["arm"], row["model"]) for event, row in logged.items()} == {
        each["event_id"]: (each["arm"], each["model"]) for each in found
    }

    check_radius(config, found, assignment)
    keepers = [start(config, command="canary") for _ in range(2)]
    keepers[0].wait_for(lambda: share(settings) == 0.6, 90)
    replay(config, world[1], COUNT)
    keepers[0].wait_for(lambda: share(settings) == 1.0, 90)
    replay(config, world[1], COUNT)
    at_work = [each.metrics()["weir_canary_keeper_at_work"] for each in keepers]
    assert sorted(at_work) == [0, 1]
    # The one at work is killed, and the other goes on.
    keepers.pop(at_work.index(1)).end(signal.SIGKILL)

    # The other reads first what is there; until then the gate is open.
    keepers[0].wait_for(lambda: keepers[0].metrics()["weir_canary_keeper_at_work"] == 1, 90)
    keepers[0].wait_for(lambda: gates(config)["guardrails"] == "passed", 90)
    assert {each["arm"] for each in scores(settings)[-200:]} == {"canary"}
    promoted_after_a_waiver(config, canary)
    keepers[0].wait_for(lambda: "ended" in said(config, "status"), 60)
    assert said(config, "status")["ended"]["note"] == "it is champion now"
    assert weir("canary", "abort", "-c", config).returncode == 2


@pytest.mark.exhaustive
def test_a_keeper_that_may_begins_a_canary_and_makes_it_champion(
    configured: Callable[..., Path], world: tuple[Path, Path], start: Callable[..., Scorer]
) -> None:
    config = configured(automatic="promotion", steps=[0.5, 1.0])
    settings = load_settings(config)
    scorer = start(config)
    scorer.wait_for(lambda: scorer.readiness()[0] == 200, 120)
    assert weir("shadow", "add", "2", "--name", "better", "-c", config).returncode == 0
    champion, model = (version_of(open_registry(settings).get(each)) for each in ("champion", "2"))
    keeper = start(config, command="canary")
    keeper.wait_for(lambda: keeper.metrics().get("weir_canary_keeper_at_work") == 1, 60)
    assert said(config, "status") == {"ended": None}, "nothing was found of it yet"
    seen = {"candidate": model.package[:12], "mature": 5_000, "recall": {"events": 80}}
    record = ComparisonRecord(
        name="better",
        model=model,
        champion=champion.package[:12],
        policy="1",
        verdict=Verdict.BETTER,
        found=seen,
        at=now_ms(),
    )
    topic, value = settings.topics.comparisons, record.model_dump_json().encode()
    write_control(settings.kafka, topic, comparison_key("better"), value, 10)
    keeper.wait_for(lambda: "experiment" in said(config, "status"), 60)
    begun = said(config, "status")["experiment"]
    assert begun["arms"][0]["model"]["package"] == model.package
    assert "better has passed the gates" in begun["note"]
    scorer.wait_for(lambda: "arm canary answers" in scorer.log, 120)
    for step in (0.5, 1.0):
        keeper.wait_for(lambda step=step: share(settings) == step, 90)  # type: ignore[misc]
        replay(config, world[1], COUNT)
    keeper.wait_for(lambda: "ended" in said(config, "status"), 90)
    serving = json.loads(weir("models", "serving", "--json", "-c", config).stdout)["champion"]
    assert serving["model"]["package"] == model.package
    assert (serving["waived"], "has passed all gates" in serving["note"]) == ("", True)
    assert keeper.metrics()["weir_canary_deeds_total:promote"] == 1
