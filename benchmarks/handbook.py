"""The Fraud Detection Handbook's baseline protocol, through Kafka.

Trains on the Handbook's training week (2018-07-25 to 07-31), replays the history and the test week
(2018-08-08 to 08-14) through a real Kafka and a real scorer, and evaluates what then stands in the
scores topic on the Handbook's 58,264 test transactions. The trainer's settings were chosen on
earlier weeks only (docs/models.md). `--quick` leaves out history that no window reaches: the
figures are the same.
"""

import os
import sys
import tempfile
import tomllib
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from inference.evaluation.evaluate import evaluate
from inference.evaluation.topic_reading import join_labels, read_labels, read_scores
from streams.files.event_file import open_events
from streams.files.id_file import read_ids
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.weir_topics import ensure_topics
from streams.replay.replay import Pace
from weir.broker import LocalBroker
from weir.cli.dates import parse_time_ms
from weir.config.settings import load_settings
from weir.demo.player import Player
from weir.demo.scorer_process import DemoScorer
from weir.demo.watcher import Watcher
from weir.training.registering import train_and_register

EXAMPLE = Path(__file__).parents[1] / "examples" / "handbook" / "weir.toml"
TRAINING = ("2018-07-25", "2018-08-01")
STREAM_END = "2018-08-15"
QUICK_FROM = "2018-06-17"  # the training week's longest window begins on 2018-06-18
QUICK_STREAM_FROM = "2018-07-01"  # the test week's on 2018-07-02
TARGET = 0.639

PUBLISHED = {
    "logistic regression (published)": (0.871, 0.606, 0.291),
    "random forest (published)": (0.867, 0.658, 0.287),
    "XGBoost (published)": (0.862, 0.639, 0.273),
}


class Quiet:
    """A display for a log: one line a phase."""

    def __init__(self, show: bool) -> None:
        self._show = show

    def phase(self, title: str, total: int) -> None:
        """Print the phase."""
        if self._show:
            print(f"{title}: {total:,} events", flush=True)

    def sent(self, count: int) -> None:
        """Nothing to print."""


def prepare(folder: Path, data: Path, quick: bool) -> tuple[Path, Path]:
    """Settings and transactions in a folder of this run."""
    values = tomllib.loads(EXAMPLE.read_text())
    values["data_dir"] = str(folder)
    values["broker"] = {"data_dir": str(folder / "broker"), "port": 0}
    config = folder / "weir.toml"
    config.write_text(tomli_w.dumps(values))
    transactions = data / "handbook" / "transactions.parquet"
    if quick:
        table = pq.read_table(transactions)
        since = pc.greater_equal(table["TX_DATETIME"], np.datetime64(QUICK_FROM, "ms"))
        transactions = folder / "transactions.parquet"
        pq.write_table(table.filter(since), transactions)
    return config, transactions


def run(folder: Path, data: Path, quick: bool, show: bool) -> dict[str, Any]:
    """The whole protocol; returns the figures."""
    config, transactions = prepare(folder, data, quick)
    settings = load_settings(config)
    file = open_events(transactions, settings.event, settings.labels.field)
    first = parse_time_ms(QUICK_STREAM_FROM) if quick else None
    begin = monotonic()
    model = train_and_register(settings, file, *map(parse_time_ms, TRAINING))
    training_s = monotonic() - begin
    with LocalBroker(settings.broker) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(connect(kafka), settings.topics)
        watcher = Watcher(kafka, settings.topics.scores, settings.topics.dead_letters)
        environment = {**os.environ, "WEIR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        try:
            with DemoScorer(config, environment, folder / "scorer.log") as scorer:
                play = Player(settings, kafka, file, watcher, scorer, Quiet(show))
                rate = play("stream", Pace(), first, parse_time_ms(STREAM_END), flush_labels=True)
        finally:
            watcher.close()
        scored = read_scores(kafka, settings.topics.scores)
        labels = read_labels(kafka, settings.topics.labels, settings.event)
    ids = read_ids(
        data / "handbook" / "test_transaction_ids_2018-08-08_2018-08-14.csv.gz", settings.event
    )
    place = {event: i for i, event in enumerate(scored.ids)}
    test = np.array([place[event] for event in ids])
    result = evaluate(
        times_ms=scored.times[test],
        cards=[scored.keys[i] for i in test],
        labels=join_labels(ids, labels),
        scores=scored.scores[test],
        probabilities=scored.probabilities[test],
        k=100,
    )
    return {
        **result.as_dict(),
        "model": model.package_id[:12],
        "training_seconds": round(training_s, 1),
        "streamed_events": play.sent,
        "scored_events": len(scored.ids),
        "duplicates": scored.duplicates,
        "events_per_second": round(rate),
    }


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "", data={"type": Path, "default": DATA, "help": "folder with handbook/"}
    )
    if not (args.data / "handbook" / "transactions.parquet").is_file():
        sys.exit(f"no Handbook data in {args.data}: name its parent folder with --data DIR")
    with tempfile.TemporaryDirectory(prefix="weir-handbook-") as folder:
        result = run(Path(folder), args.data, args.quick, not args.json)
    ours = (result["auc"], result["average_precision"], result["card_precision"])
    rows = {**PUBLISHED, "Weir, through Kafka": ours}
    lines = [f"{'':<34}{'AUC':>8}{'AP':>8}{'CP@100':>8}"]
    lines += [f"{name:<34}" + "".join(f"{v:>8.3f}" for v in row) for name, row in rows.items()]
    lines.append(
        f"{result['streamed_events']:,} events at {result['events_per_second']:,}/s, "
        f"{result['duplicates']} duplicates, "
        f"{result['labelled']:,} test events"
    )
    xgboost = PUBLISHED["XGBoost (published)"]
    report(
        args,
        name="handbook",
        figure=round(ours[1], 4),
        unit="average precision",
        target=TARGET,
        met=all(mine >= theirs for mine, theirs in zip(ours, xgboost, strict=True)),
        details={"ours": result, "published": PUBLISHED},
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
