"""Arms, reports and records of the feature log, for tests of the canary's keeper."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from inference.control.arm_reports import ArmReport, ArmsReport
from inference.control.canary import ArmShare, CanaryCommand
from inference.control.commands import ModelVersion
from inference.routing.assignment import Assignment
from streams.feature_log import Arm, FeatureLogWriter, ScoredEvents, read_feature_log

CHAMPION, CANARY = "a" * 64, "b" * 64
START = 1_750_000_000_000


def command(share: float = 0.2, **values: Any) -> CanaryCommand:
    model = ModelVersion(version=2, package=CANARY)
    given = {
        "experiment": "e",
        "champion": CHAMPION,
        "arms": (ArmShare(name="canary", model=model, share=share),),
        "begun": 1,
        "stepped": 1,
        "by": "ada",
        "at": 1,
    }
    return CanaryCommand(**given | values)


def record(
    keys: Sequence[int],
    arms: Sequence[int],
    decisions: Sequence[int],
    *,
    share: float = 0.2,
    first_ms: int = START,
    stood_in: bool = False,
    experiment: str = "e",
    late: bool = False,
) -> bytes:
    """A record of the feature log: events of one partition, a second apart."""
    count = len(keys)
    names = ("champion", "canary")
    models = [CHAMPION[:12], (CHAMPION if stood_in else CANARY)[:12]]
    writer = FeatureLogWriter(
        ["x"],
        pa.int64(),
        pa.int64(),
        ("approve", "review", "decline"),
        {"experiment": experiment},
        arms=[Arm(name, model) for name, model in zip(names, models, strict=True)],
    )
    arm = np.array(arms, np.int8)
    shares = np.array([1 - share, share], np.float32)[arm]
    zeros, no = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    scored = ScoredEvents(
        ids=list(range(count)),
        keys=list(keys),
        times=first_ms + 1_000 * np.arange(count),
        offsets=np.arange(count),
        features=np.zeros((count, 1), np.float32),
        **dict.fromkeys(("score", "probability", "anomaly"), zeros),
        decision=np.array(decisions, np.int8),
        late=np.full(count, late),
        **dict.fromkeys(("approximate", "fallback"), no),
        arm=arm,
        share=shares,
        propensity=shares,
    )
    return writer.encode(scored)


def table(*arguments: Any, **options: Any) -> pa.Table:
    """The same, read."""
    return read_feature_log(record(*arguments, **options))


def arms_of(keys: Sequence[int], share: float = 0.2) -> list[int]:
    return Assignment("e", [share]).arms(list(keys)).tolist()


def report(
    begun: int = 1, state: Any = "serving", model: str = CANARY, **counts: int
) -> ArmsReport:
    arm = ArmReport(name="canary", model=model, state=state, reason="why", counts=counts)
    return ArmsReport(experiment="e", arms=(arm,), begun=begun, at=1)
