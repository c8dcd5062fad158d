"""The campaign's models: trained by Weir on a file of the same kind of world."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inference.training.train import train as train_package
from streams.files.event_file import open_events
from tests.chaos.world import Habits, World
from weir.config.settings import load_settings
from weir.services.wiring import open_registry
from weir.training.registering import training_set

_TICKS, _PER_TICK = 40, 500
_LARGE = 150.0
_ROUNDS = 10
GOOD = 4
PACKAGES = "packages"


@dataclass(frozen=True)
class Model:
    """A model in the registry: its version there, and its package's id."""

    version: int
    package: str

    @property
    def name(self) -> str:
        """As scores name it."""
        return self.package[:12]


def train(config: Path, folder: Path, seed: int) -> tuple[list[Model], Model]:
    """Train and register the models that take turns, the first of them champion.

    Returns:
        those that work, and one whose artifact in the registry was damaged.
    """
    data = folder / "training.parquet"
    pq.write_table(_payments(seed), data)
    settings = load_settings(config)
    file = open_events(data, settings.event, settings.labels.field)
    rows = training_set(settings, file, None, None, _silently)
    registry = open_registry(settings)
    models = []
    for number in range(GOOD + 1):
        # Each differs from the others in all of its answers.
        trees = settings.training.trees.model_copy(update={"rounds": _ROUNDS + 5 * number})
        training = settings.training.model_copy(update={"trees": trees, "seed": number + 1})
        package = train_package(rows, training, folder / PACKAGES, _silently)
        registered = registry.register(package, None if models else "champion")
        models.append(Model(registered.version, registered.package_id))
    _damage(folder, models[-1])
    return models[:-1], models[-1]


def _silently(step: str, share: float) -> None:
    pass


def _payments(seed: int) -> pa.Table:
    world = World(seed, _TICKS * _PER_TICK)
    habits = Habits(late=0.0, too_late=0.0, twice=0.0, malformed=0.0)
    bodies = [
        json.loads(record.value or b"")
        for _ in range(_TICKS)
        for record in world.tick(_PER_TICK, habits).events
    ]
    # Large payments are risky, so that there is something to be learned.
    large = np.array([body["amount"] for body in bodies]) > _LARGE
    fraud = np.random.default_rng([seed, 2]).random(len(bodies)) < np.where(large, 0.3, 0.01)
    columns = {
        name: [body.get(name) for body in bodies]
        for name in ("id", "card", "terminal", "amount", "device")
    }
    times = pa.array([body["at"] for body in bodies]).cast(pa.timestamp("ms", "UTC"))
    return pa.table(columns | {"at": times, "is_fraud": fraud.astype(np.int8)})


def _damage(folder: Path, model: Model) -> None:
    """Change a byte of the registry's copy, and leave no other one."""
    graph = (folder / PACKAGES / model.name / "model.onnx").read_bytes()
    copies = [
        path for path in (folder / "artifacts").rglob("model.onnx") if path.read_bytes() == graph
    ]
    if not copies:
        raise RuntimeError(f"the registry has no copy of model {model.name}")
    for path in copies:
        path.write_bytes(graph[:-1] + bytes([graph[-1] ^ 1]))
