"""A model and what was found of it: comparisons that were computed, steps of a canary, a waiver."""

from dataclasses import replace
from functools import cache
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
from inference.policy.costs import CostSettings
from inference.policy.policy import DECISIONS
from inference.shadow.comparison.comparison import Comparison
from inference.shadow.comparison.settings import ComparisonSettings
from inference.shadow.shadow_record import CandidateScore
from tests.inference.shadow.joined import Joined, Setup, score
from weir.dossier.collect import Decision, Dossier
from weir.dossier.history import History, Promotion

CHAMPION = ModelVersion(version=1, package="9ad5ea64b2ac" + "0" * 52)
MODEL = ModelVersion(version=2, package="26e3bd5f5c5d" + "0" * 52)
START = 1_790_000_000_000
HOUR = 3_600_000
SETTINGS = Setup(
    ComparisonSettings(slice_by=["category", "header:app-version"]),
    CostSettings(cap=500, friction=20, review=5, margin=0.01),
)


def look(
    count: int, champion: ModelVersion = CHAMPION, model: ModelVersion = MODEL, **values: Any
) -> ComparisonRecord:
    """What was found of the first events of a stream, on which it is right a little more often."""
    found = _compared(count, champion.package[:12], model.package[:12])
    record = ComparisonRecord.of("v2", model, found)
    return record.model_copy(update={"at": START + count * 1_000} | values)


@cache
def _compared(count: int, champion: str, model: str) -> Comparison:
    rng = np.random.default_rng(1)
    fraud, differ = rng.random(20_000) < 0.05, rng.random(20_000) < 0.05
    right, scores = rng.random(20_000) < 0.62, rng.random((2, 20_000)) * 0.9
    amounts = rng.gamma(2.0, 40.0, 20_000)
    first = np.where(fraud, 2, 0)
    other = np.where(rng.random(20_000) < 0.5, 1, 2 - first)
    one, two = np.where(differ & right, other, first), np.where(differ & ~right, other, first)
    scores = np.where(fraud, 0.1 + scores, scores)
    context = [
        {
            "amount": amounts[each],
            "category": ("shop", "travel", "groß & <b>")[each % 3],
            "header:app-version": (None, "4.1")[each % 5 > 1],
        }
        for each in range(count)
    ]
    pairs = [
        score(
            each,
            event_time=START + 1_000 * each,
            model=champion,
            probability=scores[0, each],
            decision=DECISIONS[one[each]],
            context=context[each],
            candidates={
                "v2": CandidateScore(model, "1", 0.5, scores[1, each], 0.1, DECISIONS[two[each]])
            },
        )
        for each in range(count)
    ]
    late = [score(each, model=champion, fallback=True) for each in range(12)]
    for each in late:
        each.candidates = pairs[0].candidates
    labels = {row: [(START, int(fraud[row]))] for row in range(count)}
    joined = Joined(SETTINGS).take([pairs[0], *late, *pairs[1:]], labels)
    return joined.compared(name="v2")


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
