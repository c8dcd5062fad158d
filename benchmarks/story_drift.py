"""The whole loop on the Fraud Detection Handbook's stream: drift, a job, a candidate, a champion.

As `weir demo --story loop` tells it of simulated events (`weir/demo/story/loop.py`): a producer
sends cents for euros for a day, which must raise an alarm of the data and no job; then thieves buy
gift cards, which is a loss of performance once labels come, 7 days late: a job trains a model on
the archive, a candidate, which is found better, steps up as a canary and becomes champion, all by
itself. The monitor, the controller and the job are killed on the way. The figure is the average
precision of its first days, by that of the days before fraud was new.
"""

import sys
import tempfile
import threading
import tomllib
from contextlib import ExitStack
from datetime import date, datetime, time
from pathlib import Path
from time import monotonic

import numpy as np
import pyarrow.parquet as pq
import tomli_w

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from streams.kafka.client import KafkaSettings
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import load_settings
from weir.demo.stage import Stage
from weir.demo.story.drift_world import in_cents
from weir.demo.story.loop import LoopPlot, tell
from weir.demo.story.loop_world import LOOP_SECTIONS, with_gift_cards
from weir.demo.story.simulated import between, story_settings

EXAMPLE = Path(__file__).parents[1] / "examples" / "handbook" / "weir.toml"
TIME, AMOUNT, LABEL = "TX_DATETIME", "TX_AMOUNT", "TX_FRAUD"
HISTORY = date(2018, 4, 1)
EARLY, CHAMPION = ("2018-06-10", "2018-06-20"), ("2018-06-10", "2018-07-08")
TURNS = {
    "begin": date(2018, 6, 1),
    "settled": date(2018, 7, 8),
    "cents": date(2018, 7, 22),
    "euros": date(2018, 7, 23),
    "pattern": date(2018, 7, 27),
    "end": date(2018, 9, 30),
}
COSTS = {"amount": AMOUNT, "cap": 200, "friction": 10, "review": 2}
TARGET = 0.95


def write_plot(folder: Path, data: Path) -> tuple[Path, LoopPlot]:
    """Settings and files."""
    values = tomllib.loads(EXAMPLE.read_text())
    values.pop("reasons")
    values = story_settings(values | {"data_dir": str(folder / "data")}, COSTS) | LOOP_SECTIONS
    config = folder / "weir.toml"
    config.write_text(tomli_w.dumps(values))
    whole = pq.read_table(data)
    days = {name: datetime.combine(day, time()) for name, day in TURNS.items()}
    stream = between(whole, TIME, days["begin"], days["end"])
    stream = in_cents(stream, days["cents"], days["euros"], time=TIME, amount=AMOUNT)
    columns = {"time": TIME, "amount": AMOUNT, "label": LABEL}
    stream = with_gift_cards(stream, days["pattern"], np.random.default_rng(16), **columns)
    learned = between(whole, TIME, datetime.combine(HISTORY, time()), days["settled"])
    files = {"learned": learned, "stream": stream}
    for name, table in files.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return config, LoopPlot(
        learned=folder / "learned.parquet",
        stream=folder / "stream.parquet",
        early=("--from", EARLY[0], "--to", EARLY[1]),
        champion=("--from", CHAMPION[0], "--to", CHAMPION[1]),
        job_folder=folder / "data" / "jobs",
        **TURNS,
    )


def main() -> None:
    """Play it and report."""
    args = arguments(
        __doc__ or "", data={"type": Path, "default": DATA / "handbook" / "transactions.parquet"}
    )
    begun, timeline = monotonic(), list[str]()

    def told(line: str) -> None:
        timeline.append(f"{monotonic() - begun:5.0f} s  {line}")
        print(timeline[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="weir-story-") as name, ExitStack() as stack:
        folder = Path(name)
        local = BrokerSettings(data_dir=folder / "broker", port=0)
        broker = stack.enter_context(LocalBroker(local))
        config, plot = write_plot(folder, args.data)
        topic = load_settings(config).topics.comparisons
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        stage = stack.enter_context(Stage(folder, config, kafka, topic, threading.Event()))
        ending = tell(stage, plot, told)
    report(
        args,
        name="story-drift",
        figure=ending.recovered,
        unit="average precision of the new champion by that before fraud was new",
        target=TARGET,
        met=ending.as_it_has_to,
        details={"timeline": timeline, "days": {name: str(day) for name, day in TURNS.items()}},
        text="\n".join(timeline),
    )


if __name__ == "__main__":
    main()
