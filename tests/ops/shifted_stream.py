"""A second stream in the same world: thieves who look like anybody, and then, dearer customers.

Neither is broken data: a loss of performance, and another world than the one that the model learned
from. In the first stream, features are broken from the start, since its windows have no room, and
what a model makes of those is no loss. At its end, somebody tries which amounts pass.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.kafka.topics.weir_topics import ROLES
from tests.ops.world import World
from tests.weir.front_door import write_events
from weir.simulator.payments import DAY_MS

_DAYS, _THIEVES, _DEARER = 90, 45, 60
_FACTOR, _EACH = 1.8, 4
"""Customers spend so much more; and one of so many payments is a thief's."""
_TRIED, _TRIED_EVERY_MS = 200, 5_000
_LABELS = ("scorer", "monitor", "replay")


def begin(world: World) -> None:
    """Score and watch it; its events come at once."""
    path = write_events(world.folder / "shifted.parquet", days=_DAYS)
    table = pq.read_table(path)
    amounts, frauds = table["amount"], table["is_fraud"]
    more = pc.if_else(_since(table, _DEARER), pc.multiply(amounts, _FACTOR), amounts)
    stolen = pc.and_(_since(table, _THIEVES), pa.array(np.arange(table.num_rows) % _EACH == 0))
    for name, column in (("amount", more), ("is_fraud", pc.if_else(stolen, 1, frauds))):
        place, type_ = table.column_names.index(name), table.schema.field(name).type
        table = table.set_column(place, name, column.cast(type_))
    pq.write_table(pa.concat_tables([table, _tried(table)]), path)
    config = world.other_settings(
        "shifted",
        topics={"partitions": 1} | {role: f"shifted-{role}" for role in ROLES},
        loop={"group": "shifted"},
        monitor={"group": "shifted-monitor", "interval": "1h"},
        windows={},
    )
    world.weir("topics", config=config)
    world.start("shifted-scorer", "score", "--model", "1", config=config)
    world.start("shifted-monitor", "monitor", config=config)
    world.start("shifted-replay", "replay", str(path), config=config, serves=False)


def _since(table: pa.Table, day: int) -> pa.ChunkedArray:
    times = table["time"].cast("int64")
    return pc.greater_equal(times, pc.add(pc.min(times), day * DAY_MS))


def _tried(table: pa.Table) -> pa.Table:
    """The last event again and again, of other amounts: a bit more each time, and a bit less."""
    rows = np.arange(1, _TRIED + 1)
    found = table.take(np.full(_TRIED, table.num_rows - 1))
    columns = {
        "transaction_id": pc.max(table["transaction_id"]).as_py() + rows,
        "time": pc.max(table["time"].cast("int64")).as_py() + rows * _TRIED_EVERY_MS,
        "amount": 100.0 + rows % 5,
    }
    for name, values in columns.items():
        place, type_ = found.column_names.index(name), found.schema.field(name).type
        found = found.set_column(place, name, pa.array(values).cast(type_))
    return found


def end(world: World) -> None:
    """Without a trace in what is asked for metrics."""
    for each in _LABELS:
        world.end(f"shifted-{each}")
    for each in ("scorer", "monitor"):
        world.forget(f"shifted-{each}")
