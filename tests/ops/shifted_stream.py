"""A second stream in the same world: windows that fill up, and customers who then spend more.

Both are another world than the one that the model learned from, and no broken data. In the first
stream, features are broken from the start, since its windows have no room.
"""

import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.kafka.topics.weir_topics import ROLES
from tests.ops.world import World
from tests.weir.front_door import write_events
from weir.simulator.payments import DAY_MS

_DAYS, _FIRST = 90, 60
_FACTOR = 1.8
_LABELS = ("scorer", "monitor", "replay")


def begin(world: World) -> None:
    """Score and watch it; its events come at once."""
    path = write_events(world.folder / "shifted.parquet", days=_DAYS)
    table = pq.read_table(path)
    times = table["time"].cast("int64")
    late = pc.greater_equal(times, pc.add(pc.min(times), _FIRST * DAY_MS))
    amounts = table["amount"]
    more = pc.if_else(late, pc.multiply(amounts, _FACTOR), amounts).cast(amounts.type)
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", more), path)
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


def end(world: World) -> None:
    """Without a trace in what is asked for metrics."""
    for each in _LABELS:
        world.end(f"shifted-{each}")
    for each in ("scorer", "monitor"):
        world.forget(f"shifted-{each}")
