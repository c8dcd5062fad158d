"""The story of a candidate on the Fraud Detection Handbook's stream: shadow, canary, champion.

As `weir demo --story shadow` tells it of simulated events (`weir/demo/story/shadow.py`): (a) the
champion as its own candidate gets no verdict; (b) a candidate whose thresholds were set for a third
of all events is rolled back at 1 % of the keys; (c) the champion knows nothing of terminals, a
candidate does, labels come 7 days late: it is found better, steps up as a canary and becomes
champion.
`--quick` plays 52 days in place of 92.
"""

import sys
import tempfile
import threading
import tomllib
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from time import monotonic

import pyarrow.parquet as pq
import tomli_w

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from streams.kafka.client import KafkaSettings
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import load_settings
from weir.demo.stage import Stage
from weir.demo.story.shadow import Plot, tell
from weir.demo.story.simulated import between, for_a_third, story_settings, without_features

EXAMPLE = Path(__file__).parents[1] / "examples" / "handbook" / "weir.toml"
LEARNED = ("2018-07-25", "2018-08-01")
DAYS = ("history", "judged", "end")
WHOLE = dict(zip(DAYS, ("2018-07-01", "2018-09-10", "2018-10-01"), strict=True))
QUICK = dict(zip(DAYS, ("2018-07-20", "2018-08-15", "2018-09-10"), strict=True))
COSTS = {"amount": "TX_AMOUNT", "cap": 200, "friction": 10, "review": 2}
CANARY = {"steps": [0.01, 0.1, 1.0], "hold": "1d", "min_events": 90, "every": "1s"}
RATE = 1_500


def write_plot(folder: Path, data: Path, span: dict[str, str]) -> tuple[Path, Plot]:
    """Settings and files."""
    values = tomllib.loads(EXAMPLE.read_text())
    values.pop("reasons")
    values = story_settings(values | {"data_dir": str(folder / "data")}, COSTS)
    values["canary"] = CANARY
    values["gates"] |= {"min_labels": 20_000}
    config, blind, strict = (folder / f"{name}.toml" for name in ("weir", "blind", "strict"))
    config.write_text(tomli_w.dumps(values))
    blind.write_text(tomli_w.dumps(without_features(values, "terminal")))
    strict.write_text(tomli_w.dumps(for_a_third(values)))
    whole = pq.read_table(data)
    first, learned_to, end = (
        datetime.fromisoformat(day) for day in (span["history"], LEARNED[1], span["end"])
    )
    learned = between(whole, "TX_DATETIME", datetime(2018, 6, 1), learned_to)
    files = {"learned": learned, "stream": between(whole, "TX_DATETIME", first, end)}
    for name, table in files.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return config, Plot(
        learned=folder / "learned.parquet",
        stream=folder / "stream.parquet",
        blind=blind,
        strict=strict,
        learn=("--from", LEARNED[0], "--to", LEARNED[1]),
        begin=LEARNED[1],
        judged=span["judged"],
        rate=RATE,
    )


def main() -> None:
    """Play it and report."""
    args = arguments(
        __doc__ or "", data={"type": Path, "default": DATA / "handbook" / "transactions.parquet"}
    )
    span = QUICK if args.quick else WHOLE
    begun, timeline = monotonic(), list[str]()

    def told(line: str) -> None:
        timeline.append(f"{monotonic() - begun:5.0f} s  {line}")
        print(timeline[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="weir-story-") as name, ExitStack() as stack:
        folder = Path(name)
        local = BrokerSettings(data_dir=folder / "broker", port=0)
        broker = stack.enter_context(LocalBroker(local))
        config, plot = write_plot(folder, args.data, span)
        topic = load_settings(config).topics.comparisons
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        stage = stack.enter_context(Stage(folder, config, kafka, topic, threading.Event()))
        met = tell(stage, plot, told)
    report(
        args,
        name="story-shadow",
        figure=float(met),
        unit="1 where all three ended as they have to",
        target=1.0,
        met=met,
        details={"timeline": timeline, "span": span},
        text="\n".join(timeline),
    )


if __name__ == "__main__":
    main()
