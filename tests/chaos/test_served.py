"""The checker finds answers that are not their model's, or not its to give."""

import json
from array import array
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.chaos import arms, served
from tests.chaos.arms import ArmsOfKeys, Experiment, siphash13
from tests.chaos.commander import CANARY, CHAMPION, POLICY, Command
from tests.chaos.configuration import PARTITIONS
from tests.chaos.served import Registered
from tests.chaos.transcript import DECISIONS, Answers
from tests.chaos.violations import Violations

NAMES = ("unread", "amount")
POLICIES = {"1": {}, "p1": {"review_probability": 0.4, "decline_probability": 0.7}}


def write_model(folder: Path, factor: float) -> None:
    """A package whose three answers are the amount times `factor`."""
    folder.mkdir()
    outputs = ("score", "probability", "anomaly")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["features", "factor"], ["column"])]
        + [helper.make_node("Squeeze", ["column", "axis"], [name]) for name in outputs],
        "times",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in outputs],
        [
            helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "features.json").write_text(json.dumps({"names": ["amount"]}))
    table = [{"alert_rate": 0.02, "probability": 0.8}, {"alert_rate": 0.1, "probability": 0.3}]
    thresholds = {"review": 0.5, "decline": 0.9, "table": table}
    (folder / "thresholds.json").write_text(json.dumps(thresholds))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Registered]:
    folder = tmp_path_factory.mktemp("models")
    for name, factor in (("a", 0.1), ("b", 0.2)):
        write_model(folder / name, factor)
    return {name: Registered.load(folder / name) for name in ("a", "b")}


def command(name: str, said: int, *others: str, taken: int | None = None) -> Command:
    return Command(frozenset([name, *others]), said, said if taken is None else taken, said)


@pytest.fixture
def tried(given: dict[str, list[Command]]) -> dict[str, list[Command]]:
    """And a canary from second 120 on."""
    given[CANARY].append(command("half", 120_000))
    return given


@pytest.fixture
def given() -> dict[str, list[Command]]:
    """Model b from second 100 on, a again from second 200; policy p1 from second 150 on."""
    return {
        CHAMPION: [command("a", 0), command("b", 100_000), command("a", 200_000)],
        POLICY: [command("1", 0), command("p1", 150_000)],
        CANARY: [command("", 0)],
    }


def answers(*records: tuple[int, str, str]) -> list[Answers]:
    """An honest scorer's: records at these seconds, by these models and policies."""
    log = [Answers() for _ in range(PARTITIONS)]
    part, amounts = log[1], np.array([1.0, 4.5, 9.5], np.float32)
    for number, (second, model, policy) in enumerate(records):
        given = np.float32({"a": 0.1, "b": 0.2}[model]) * amounts
        review, decline = {"1": (0.5, 0.9), "p1": (0.4, 0.7)}[policy]
        decisions = [int(p >= review) + int(p >= decline) for p in given]
        rows = len(amounts)
        part.ids.extend(range(rows * number, rows * (number + 1)))
        part.offsets.extend(range(rows * number, rows * (number + 1)))
        for column in (part.scores, part.probabilities, part.anomalies):
            column.extend(given.tolist())
        part.decisions.extend(decisions)
        part.keys.extend([0] * rows)
        part.arms.extend([(arms.CHAMPION_ARM, 1.0)] * rows)
        part.served.extend([(model, policy)] * rows)
        part.written.extend([second * 1_000] * rows)
        part.features.append((NAMES, np.stack([np.full(rows, np.nan, np.float32), amounts], 1)))
    return log


EXPERIMENTS = {"half": Experiment("e", 0.5, "b")}
ARM = EXPERIMENTS["half"].arm_of("card-0")
HONEST = ((50, "a", "1"), (101, "b", "1"), (160, "b", "p1"), (205, "a", "p1"))


def check(log, models, given, **options) -> tuple[set[str], served.Served]:
    found = Violations()
    keys = ArmsOfKeys(["card-0", "card-1"])
    result = served.check_served(log, models, POLICIES, given, EXPERIMENTS, keys, found, **options)
    return set(found.counts), result


def test_an_honest_scorer_passes(models, given) -> None:
    kinds, result = check(answers(*HONEST), models, given)
    assert kinds == set()
    assert result.recomputed == 12
    assert result.models == {"a": 6, "b": 6}
    assert result.policies == {"1": 6, "p1": 6}
    assert (result.changes, result.went_back, result.lag_ms) == (3, 0, 0)


def with_arm(log: list[Answers], arm: str, share: float, key: int = 0) -> list[Answers]:
    log[1].arms = [(arm, share)] * len(log[1].ids)
    log[1].keys = array("q", [key] * len(log[1].ids))
    return log


def test_a_canary_answers_for_its_keys_and_the_champion_in_its_place(models, tried) -> None:
    key = 0 if arms.CANARY_ARM == ARM else 1
    assert EXPERIMENTS["half"].arm_of(f"card-{key}") == arms.CANARY_ARM, "another name is needed"
    kinds, result = check(with_arm(answers((205, "b", "p1")), "canary", 0.5, key), models, tried)
    assert (kinds, result.by_canary) == (set(), 3)
    kinds, result = check(with_arm(answers((205, "a", "p1")), "canary", 0.5, key), models, tried)
    assert (kinds, result.by_canary) == (set(), 0)


def test_an_arm_that_is_not_its_key_s_and_a_model_that_is_not_its_arm_s_are_found(
    models, tried
) -> None:
    key = 1 if arms.CANARY_ARM == ARM else 0
    log = with_arm(answers((205, "b", "p1")), "canary", 0.5, key)
    assert check(log, models, tried)[0] == {"wrong arm"}
    log = with_arm(answers((265, "b", "p1")), "champion", 0.5, key)
    assert check(log, models, tried)[0] == {"outdated model"}
    log = with_arm(answers((119, "b", "1")), "champion", 0.5, key)
    assert check(log, models, tried)[0] == {"wrong arm"}, "nobody had said so yet"
    log = with_arm(answers((205, "a", "p1")), "champion", 0.25, key)
    assert check(log, models, tried)[0] == {"wrong arm"}, "no command names this share"


def test_siphash_is_as_its_authors_have_it() -> None:
    # The vector of SipHash-1-3 with the key 00..0f and no text, of the reference implementation.
    first, second = 0x0706050403020100, 0x0F0E0D0C0B0A0908
    assert siphash13(first, second, b"") == 0xABAC0158050FC4DC


@pytest.mark.parametrize("column", ["scores", "probabilities", "anomalies"])
def test_an_answer_of_another_model_is_found(models, given, column) -> None:
    log = answers(*HONEST)
    getattr(log[1], column)[3] += 2e-5
    kinds, _ = check(log, models, given)
    assert kinds == {"answer is not its model's"}
    getattr(log[1], column)[3] = float("nan")
    kinds, _ = check(log, models, given)
    assert kinds == {"answer is not its model's"}


def test_features_that_give_another_answer_are_found(models, given) -> None:
    log = answers(*HONEST)
    matrix: NDArray[np.float32] = log[1].features[2][1]
    matrix[1, 1] = 4.6
    assert check(log, models, given)[0] == {"answer is not its model's"}


def test_a_name_that_is_not_the_model_is_found(models, given) -> None:
    log = answers(*HONEST)
    log[1].served[:3] = [("b", "1")] * 3
    kinds, _ = check(log, models, given)
    assert kinds == {"wrong model", "answer is not its model's"}


@pytest.mark.parametrize(
    ("row", "decision"), [(0, "review"), (1, "approve"), (2, "review"), (2, "approve")]
)
def test_a_decision_that_the_policy_does_not_take_is_found(models, given, row, decision) -> None:
    log = answers((160, "b", "p1"))  # probabilities 0.2, 0.9, 1.9
    log[1].decisions[row] = DECISIONS.index(decision)
    assert check(log, models, given)[0] == {"wrong decision"}


def test_decisions_by_alert_rate_and_anomaly(models) -> None:
    decide = models["a"].decide
    probability = np.array([0.1, 0.3, 0.8, 0.95], np.float32)
    calm, strange = np.zeros(4, np.float32), np.array([0.6, 0, 0, 0], np.float32)
    assert decide({}, probability, strange).tolist() == [0, 0, 1, 2]
    assert decide({"anomaly_review": 0.6}, probability, strange).tolist() == [1, 0, 1, 2]
    rates = {"review_alert_rate": 0.1, "decline_alert_rate": 0.02}
    assert decide(rates, probability, calm).tolist() == [0, 1, 2, 2]
    assert decide(rates | {"decline_alert_rate": 0}, probability, calm).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ((99, "b", "1"), "wrong model"),  # nobody had asked for it yet
        ((149, "b", "p1"), "wrong policy"),
        ((161, "a", "p1"), "outdated model"),  # 61 s after b had become right
        ((211, "b", "1"), "outdated policy"),
    ],
)
def test_what_was_not_right_at_the_time_is_found(models, given, record, kind) -> None:
    assert check(answers(record), models, given)[0] == {kind}


def test_a_model_and_a_policy_that_nobody_named_are_found(models, given) -> None:
    log = answers(*HONEST)
    log[1].served[3:6] = [("c", "1")] * 3
    assert check(log, models, given)[0] == {"wrong model"}
    log[1].served[3:6] = [("b", "p9")] * 3
    assert check(log, models, given)[0] == {"wrong policy"}


def test_a_scorer_may_be_behind_for_a_while_and_that_is_counted(models, given) -> None:
    late = answers((100, "a", "1"), (130, "a", "1"), (131, "b", "1"))
    kinds, result = check(late, models, given)
    assert kinds == set()
    assert (result.went_back, result.lag_ms) == (0, 30_000)
    assert check(late, models, given, lag_ms=29_000)[0] == {"outdated model"}


def test_going_back_is_counted_and_found_after_a_while(models, given) -> None:
    back = answers((101, "b", "1"), (103, "a", "1"), (104, "b", "1"))
    kinds, result = check(back, models, given)
    assert kinds == set()
    assert (result.went_back, result.changes, result.lag_ms) == (1, 2, 3_000)
    longer = answers((101, "b", "1"), (165, "a", "p1"))
    assert check(longer, models, given)[0] == {"outdated model"}


def test_a_bad_command_leaves_right_what_was(models, given) -> None:
    given[CHAMPION].insert(2, command("b", 120_000))
    given[POLICY].insert(1, command("1", 120_000, "p0"))
    assert check(answers(*HONEST), models, given)[0] == set()


def test_time_counts_from_when_the_cluster_had_a_command(models, given) -> None:
    given[CHAMPION][1] = command("b", 100_000, taken=130_000)
    assert check(answers((180, "a", "p1")), models, given)[0] == set()


def test_the_last_commands_have_to_be_obeyed() -> None:
    found = Violations()
    log = answers((205, "b", "p1"), (206, "a", "p1"))
    assert served.check_last(log, 3, "a", "p1", found) == 3
    assert not found
    assert served.check_last(log, 2, "a", "p1", found) == 4
    assert found.counts == {"last command not obeyed": 1}
    assert served.check_last(log, 3, "a", "p2", found) == 3
    assert found.counts == {"last command not obeyed": 4}
