"""A model and what was found of it: comparisons that were computed, steps of a canary, a waiver."""

from dataclasses import replace
from typing import Any

import numpy as np

from inference.canary.gate_record import GateRecord
from inference.canary.guardrails import Guardrails
from inference.canary.keeper import Judgement
from inference.canary.settings import CanarySettings
from inference.canary.traffic import Traffic
from inference.control.canary import ArmShare, CanaryCommand
from inference.control.commands import ChampionCommand, ModelVersion
from inference.gates.gates import gates_of
from inference.gates.record import ComparisonRecord
from inference.gates.settings import GateSettings
from inference.gates.waiver import Waiver
from inference.packages.package import Card, ModelPackage, TrainingData
from inference.packages.registry import RegisteredModel
from inference.shadow.comparison.comparison import compare
from inference.shadow.comparison.maturity import KnownLabels
from inference.shadow.comparison.pairs import Between, Pairs, ReadPairs
from inference.shadow.comparison.settings import ComparisonSettings, CostSettings
from weir.dossier.collect import Decision, Dossier
from weir.dossier.history import History, Promotion

CHAMPION = ModelVersion(version=1, package="9ad5ea64b2ac" + "0" * 52)
MODEL = ModelVersion(version=2, package="26e3bd5f5c5d" + "0" * 52)
START = 1_790_000_000_000
HOUR = 3_600_000
SETTINGS = ComparisonSettings(costs=CostSettings(cap=500, friction=20, review=5, margin=0.01))


def look(
    count: int, champion: ModelVersion = CHAMPION, model: ModelVersion = MODEL, **values: Any
) -> ComparisonRecord:
    """What was found of the first events of a stream, on which it is right a little more often."""
    rng = np.random.default_rng(1)
    fraud, differ = rng.random(20_000) < 0.05, rng.random(20_000) < 0.05
    right, scores = rng.random(20_000) < 0.62, rng.random((2, 20_000)) * 0.9
    amounts = rng.gamma(2.0, 40.0, 20_000)
    first = np.where(fraud, 2, 0)
    other = np.where(rng.random(20_000) < 0.5, 1, 2 - first)
    one, two = np.where(differ & right, other, first), np.where(differ & ~right, other, first)
    scores = np.where(fraud, 0.1 + scores, scores)
    pairs = Pairs(
        ids=list(range(count)),
        times=START + 1_000 * np.arange(count, dtype=np.int64),
        partitions=np.zeros(count, np.int64),
        champion=one[:count].astype(np.int8),
        candidate=two[:count].astype(np.int8),
        champion_probability=scores[0, :count],
        candidate_probability=scores[1, :count],
        amounts=amounts[:count],
        approve_through=np.zeros(count),
        let_through=np.zeros(count, np.bool_),
    )
    labels = KnownLabels({row: [(START, int(fraud[row]))] for row in range(count)}, None)
    between = Between(champion.package[:12], model.package[:12], "1")
    found = compare(
        ReadPairs(between, pairs, {"fallback": 12}, 0.0),
        labels,
        SETTINGS,
        maturity_ms=0,
        place=1,
        generator=np.random.default_rng(1),
    )
    record = ComparisonRecord.of("v2", model, found)
    return record.model_copy(update={"at": START + count * 1_000} | values)


def step(
    share: float,
    deed: Any,
    why: str,
    at: int,
    champion: ModelVersion = CHAMPION,
    model: ModelVersion = MODEL,
) -> GateRecord:
    """What a keeper wrote at a look."""
    said = CanaryCommand(
        experiment="v2-20260921T132640",
        champion=champion.package,
        arms=(ArmShare(name="canary", model=model, share=share),),
        begun=START,
        stepped=at - HOUR,
        by="ada",
        at=at - HOUR,
    )
    traffic = Traffic(said)
    traffic.events[:] = traffic.answered[:] = (round(9_000 * (1 - share)), round(9_000 * share))
    traffic.keys[:] = (round(900 * (1 - share)), round(900 * share))
    traffic.alerts[:] = (round(90 * (1 - share)), round(100 * share))
    guardrails = Guardrails(CanarySettings(), traffic)
    guardrails.look({})
    evidence = traffic.as_dict() | {"guardrails": guardrails.as_dict()}
    record = GateRecord.of(said, Judgement(deed, why), evidence)
    return record.model_copy(update={"at": at})


def history() -> History:
    """Looks while events matured, and a canary that came to its end."""
    looks = [look(count) for count in range(500, 20_001, 750)]
    end = START + 20_000_000
    steps = [
        step(0.01, "wait", "it has answered 30 events of 1,000", end),
        step(0.01, "wait", "it has answered 90 events of 1,000", end + HOUR),
        step(0.01, "step", "all is well after 1,020 events at 1.00%", end + 2 * HOUR),
        step(0.25, "wait", "the step has lasted 2h of 1d of event time", end + 3 * HOUR),
        step(0.25, "step", "all is well after 2,250 events at 25.00%", end + 9 * HOUR),
        step(1.0, "done", "its last step is over", end + 12 * HOUR),
    ]
    return History.of([*looks, *steps])


def package() -> ModelPackage:
    """A package of which nobody looks at more than the card."""
    card = Card(
        format=1,
        data=TrainingData(
            sha256="ab" * 32, rows=8_214, frauds=655, first_time=START, last_time=START + 60 * HOUR
        ),
        code_version="0.1.0",
        libraries={"lightgbm": "4.7.0", "onnx": "1.23.2"},
        parameters={"trees": {"rounds": 300, "leaves": 31}, "autoencoder": {"epochs": 10}},
        seed=7,
        metrics={"roc_auc": 0.8931},
        feature_schema_hash="4d4238e2440b",
    )
    nothing: Any = None
    return ModelPackage(nothing, MODEL.package, card, nothing, nothing, nothing, nothing, b"", None)


def registered(model: ModelVersion, **metrics: float) -> RegisteredModel:
    figures = {"roc_auc": 0.8931, "average_precision": 0.6012, "rows": 2_054.0} | metrics
    return RegisteredModel(model.version, model.package, (), figures, START)


def dossier(found: History | None = None, **values: Any) -> Dossier:
    """Of a model that was promoted with a waiver."""
    found = history() if found is None else found
    at = START + 80_000_000
    gates = tuple(gates_of(found.findings(at), CHAMPION.package, "1", GateSettings(), at))
    waiver = Waiver(
        package=MODEL.package, beside=CHAMPION.package, by="ada", note="the board", at=at - HOUR
    )
    command = ChampionCommand(
        model=MODEL,
        before=(CHAMPION,),
        expects=CHAMPION,
        by="eve",
        note="fewer false alarms",
        waived="waived by ada: the board",
        at=at,
    )
    made = Dossier(
        made=at + HOUR,
        by="ada",
        model=registered(MODEL),
        package=package(),
        no_package="",
        serves=True,
        was_champion=False,
        decision=Decision(
            CHAMPION.package, registered(CHAMPION, roc_auc=0.8702), "promotion", at, gates, waiver
        ),
        enforced=True,
        history=found,
        promotions=(Promotion(command, CHAMPION, rollback=False),),
    )
    return replace(made, **values)
