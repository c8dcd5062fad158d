"""``python -m tests.fuzz --records 1000000 --seed 7``: what ``make fuzz`` runs."""

import argparse
import secrets
import shutil
import sys
import tomllib
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow.parquet as pq
import tomli_w

from streams.files.event_file import open_events
from tests.fuzz.campaign import Order, run
from tests.fuzz.generator import PARTITIONS
from tests.fuzz.report import lines, schema_lines
from tests.fuzz.schema_campaign import KINDS, run_schemas
from tests.registry_server import Registry, fetch_registry
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import EXAMPLE_FILE, load_settings
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import train_and_register

_ROLES = ("events", "scores", "feature_log", "dead_letters", "labels", "snapshots")
_EVERY_S = 5.0
_GROUP = "fuzz"


def main() -> int:
    """Run one campaign; the exit code is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="malformed ones, at least")
    parser.add_argument(
        "--schemas",
        type=int,
        nargs="?",
        const=3_000,
        help="instead: so many hostile schemas in a registry (3,000), a third for each format",
    )
    parser.add_argument("--seed", type=int, help="of all chance; a new one if it is left out")
    parser.add_argument("--folder", type=Path, default=Path("var/fuzz"))
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    folder = (given.folder / f"seed-{seed}").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    broker = BrokerSettings(data_dir=folder / "broker", port=0)
    if given.schemas is not None:
        with LocalBroker(broker) as kafka:
            return _schemas(folder, kafka.bootstrap_servers, given.schemas, seed)
    with LocalBroker(broker) as kafka:
        order = _order(folder, kafka.bootstrap_servers, given.records, seed)
        report = run(order, _Progress())
    print("\n".join(lines(report, seed)))
    if not report.violations.counts:
        shutil.rmtree(folder)
        return 0
    print(f"kept {folder}; again: make fuzz RECORDS={given.records} SEED={seed}")
    return 1


def _schemas(folder: Path, bootstrap_servers: str, wanted: int, seed: int) -> int:
    """One campaign for each format, one after the other."""
    (folder / "registry").mkdir()
    registry = Registry(fetch_registry(), folder / "registry")
    broken = 0
    try:
        for format in KINDS:
            more = {"schema_registry": {"url": registry.url}}
            order = _order(folder, bootstrap_servers, 0, seed, f"fuzz.{format}", format, more)
            report = run_schemas(order, registry, format, -(-wanted // 3), _Progress())
            print("\n".join(schema_lines(report, seed)), flush=True)
            broken += report.violations.counts.total()
    finally:
        registry.close()
    if not broken:
        shutil.rmtree(folder)
    else:
        print(f"kept {folder}; again: make fuzz SEED={seed} ARGS='--schemas {wanted}'")
    return int(broken > 0)


def _order(
    folder: Path,
    bootstrap_servers: str,
    records: int,
    seed: int,
    prefix: str = _GROUP,
    format: str = "json",
    more: dict[str, Any] | None = None,
) -> Order:
    """Write settings, and train the model that answers."""
    topics = {role: f"{prefix}.{role.replace('_', '-')}" for role in _ROLES}
    values = tomllib.loads(EXAMPLE_FILE.read_text(encoding="utf-8")) | {
        "data_dir": str(folder),
        "kafka": {"bootstrap_servers": bootstrap_servers},
        "topics": {"partitions": PARTITIONS, **topics},
        "loop": {"group": prefix},
        "training": {"trees": {"rounds": 20}, "autoencoder": {"epochs": 1}},
    }
    values["event"]["format"] = format
    values |= more or {}
    config = folder / "weir.toml"
    config.write_text(tomli_w.dumps(values), encoding="utf-8")
    settings = load_settings(config)
    path = folder / "history.parquet"
    pq.write_table(simulate(SimulatorSettings.for_events(8_000, days=60, seed=3)), path)
    if not (folder / "registry.db").exists():
        train_and_register(
            settings, open_events(path, settings.event, settings.labels.field), None, None
        )
    log = folder / f"{prefix}-scorer.log"
    return Order(bootstrap_servers, config, topics, prefix, records, seed, log)


class _Progress:
    """A line now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        if monotonic() - self._last < _EVERY_S:
            return
        self._last = monotonic()
        print(f"{what} {done:,} of {total:,}" if total else what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
