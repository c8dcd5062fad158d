"""A store with real explanations: what a small trained package says of its background's rows."""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from front_door import write_settings

from explain.record.parts import DecisionPart
from explain.record.record import Record, read
from explain.store.appending import Appender
from explain.writing.flagged import FlaggedEvents
from explain.writing.key_ring import KeyRing
from explain.writing.part_builders import thresholds_part
from inference.backends.cpu import CpuEngine
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS, Policy
from weir.config.settings import load_settings
from weir.services.build_explainer import RecordWriters
from weir.services.wiring import open_registry

HOUR_MS = 3_600_000
FIRST_MS = 1_774_709_307_784  # 2026-03-28 14:48:27
CUSTOMER = 373
COUNT = 24


def write_explained(folder: Path, data: Path, **sections: Any) -> Path:
    """Settings, with the registry in `data`, whose store has explanations of `COUNT` events.

    Event i is numbered 1000 + i and of hour i; every sixth is of `CUSTOMER`.
    """
    ring = folder / "ring"
    if not ring.exists():
        KeyRing.make(ring).close()
    given: dict[str, Any] = {
        "data_dir": str(data),
        "store": {
            "url": f"sqlite:///{folder / 'store.db'}",
            "key_file": str(folder / "audit-key.pem"),
        },
        "explain": {"samples": 512, "key_ring": str(ring)},
    }
    path = write_settings(folder / "weir.toml", **(given | sections))
    settings = load_settings(path)
    registry = open_registry(settings)
    champion = registry.get("champion")
    events = events_of(registry.resolve("champion"), settings.policy)
    written = RecordWriters(settings, registry, Event())(champion.package_id[:12]).write(events)
    with settings.store.open_database(settings.data_dir) as database:
        appender = Appender(
            database,
            settings.store.open_signer(settings.data_dir),
            anchor_every=1,
            anchor_after_ms=0,
        )
        appender.append([data for _, data in written])
    return path


def events_of(package: ModelPackage, policy_settings: Any) -> FlaggedEvents:
    """The most suspicious rows of a package's background, as if they had been flagged."""
    with CpuEngine(package) as engine:
        rows = package.background
        rows = rows[np.argsort(-engine.infer(rows).probability, kind="stable")[:COUNT]]
        outputs = engine.infer(rows)
    policy = Policy(policy_settings, package.thresholds)
    thresholds = thresholds_part(policy.review, policy.decline, policy.anomaly_review)
    offsets = np.arange(COUNT)
    return FlaggedEvents(
        topic="weir.events",
        partition=1,
        model=package.id[:12],
        backend="cpu",
        precision="float32",
        names=package.features.names,
        ids=[1000 + i for i in range(COUNT)],
        keys=[CUSTOMER if i % 6 == 0 else 400 + i for i in range(COUNT)],
        times=FIRST_MS + offsets * HOUR_MS,
        offsets=offsets,
        features=rows,
        score=outputs.score,
        probability=outputs.probability,
        anomaly=outputs.anomaly,
        decisions=[
            DecisionPart(outcome=DECISIONS[code], policy="1", fallback=None, thresholds=thresholds)
            for code in policy.decide(outputs).tolist()
        ],
    )


def stored(path: Path) -> list[tuple[bytes, Record]]:
    """What the store has, past the log of reads."""
    from sqlalchemy import select

    from explain.store.tables import records

    settings = load_settings(path)
    with (
        settings.store.open_database(settings.data_dir) as database,
        database.reading() as connection,
    ):
        bodies = connection.execute(select(records.c.body).order_by(records.c.sequence)).scalars()
        return [(body, read(body)) for body in bodies]
