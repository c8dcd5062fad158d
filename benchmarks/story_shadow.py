"""The story of a candidate on the Fraud Detection Handbook's stream, told by Weir's own commands.

(a) The champion is tried in the shadow as its own candidate: there must be no verdict.
(b) A candidate that learned amounts in hundreds of euros becomes a canary at 1 % of the keys: it
    must be rolled back there.
(c) The champion knows nothing of terminals, and a candidate does; labels come 7 days late. It must
    be found better in the shadow, step up as a canary, pass all gates and become champion.

Broker, scorer, shadow, judge and keeper are processes of their own; what happened is read from the
topics. `--quick` plays 26 days in place of 86.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from inference.canary.gate_record import GateRecord
from inference.gates.record import ComparisonRecord, is_comparison
from streams.base.child_process import our_module, tied_to_us
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import load_settings

EXAMPLE = Path(__file__).parents[1] / "examples" / "handbook" / "weir.toml"
LEARNED = ("2018-07-25", "2018-08-01")
WHOLE = {
    "history": "2018-06-01",
    "stream": "2018-07-01",
    "judged": "2018-09-10",
    "end": "2018-10-01",
}
QUICK = {
    "history": "2018-07-01",
    "stream": "2018-07-20",
    "judged": "2018-08-15",
    "end": "2018-08-22",
}
RATE = 1_500
"""Events per second while a canary runs, so that its keeper sees the days go by."""

_PATIENCE_S = 900.0
_PORTS = {"score": 19_464, "shadow": 19_467, "canary": 19_468, "judge": 19_469}


class Told:
    """What has happened, with the time since the beginning."""

    def __init__(self, show: bool) -> None:
        self._begun = monotonic()
        self._show = show
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Note it."""
        self.lines.append(f"{monotonic() - self._begun:6.0f} s  {line}")
        if self._show:
            print(self.lines[-1], file=sys.stderr, flush=True)


class Stage:
    """Commands and processes on one folder of settings."""

    def __init__(self, folder: Path, config: Path, kafka: KafkaSettings) -> None:
        self.folder, self.config, self.kafka = folder, config, kafka
        self.settings = load_settings(config)
        self.topics = self.settings.topics

    def weir(self, *arguments: str, config: Path | None = None) -> Any:
        """Run a command; what it prints with ``--json``."""
        done = subprocess.run(
            our_module("weir", *arguments, "--json", "--config", str(config or self.config)),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"weir {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout)

    def start(self, stack: ExitStack, name: str) -> None:
        """A process that runs until the end."""
        log = stack.enter_context((self.folder / f"{name}.log").open("ab"))
        port = ("--metrics-port", str(_PORTS[name]))
        process = subprocess.Popen(
            tied_to_us(our_module("weir", name, *port, "--config", str(self.config))),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)

    def metric(self, name: str, metric: str) -> float:
        """The sum of a metric over its labels; 0 while there is none."""
        try:
            with urlopen(f"http://127.0.0.1:{_PORTS[name]}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except (URLError, OSError):
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric))

    def comparisons(self) -> list[ComparisonRecord | GateRecord]:
        """What judge and keeper have written down."""
        found: list[ComparisonRecord | GateRecord] = []
        for batch in read_to_end(self.kafka, self.topics.comparisons):
            for message in batch:
                kind = ComparisonRecord if is_comparison(message.key().decode()) else GateRecord
                found.append(kind.model_validate_json(message.value()))
        return found

    def last(self, name: str) -> ComparisonRecord | None:
        """What was last found of a candidate in the shadow."""
        found = [
            each
            for each in self.comparisons()
            if isinstance(each, ComparisonRecord) and each.name == name
        ]
        return found[-1] if found else None

    def gates(self) -> list[GateRecord]:
        """What the keeper found."""
        return [each for each in self.comparisons() if isinstance(each, GateRecord)]


def until(what: str, condition: Callable[[], Any]) -> Any:
    """Wait for something; what it is then."""
    deadline = monotonic() + _PATIENCE_S
    while not (found := condition()):
        if monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        sleep(1)
    return found


def write_settings(folder: Path, servers: str) -> tuple[Path, Path]:
    """Settings of the story, and those of who knows nothing of terminals."""
    values = tomllib.loads(EXAMPLE.read_text())
    values.pop("reasons")
    values |= {
        "data_dir": str(folder / "data"),
        "kafka": {"bootstrap_servers": servers},
        "feature_log": {"include": ["TX_AMOUNT"]},
        "shadow": {"max_lag": 1_000_000},
        "comparison": {"costs": {"amount": "TX_AMOUNT", "cap": 200, "friction": 10, "review": 2}},
        "canary": {"steps": [0.01, 0.1, 1.0], "hold": "1d", "min_events": 90, "every": "1s"},
        "gates": {"enforce": True, "min_labels": 20_000, "every": "10s"},
    }
    blind = values | {
        "features": [each for each in values["features"] if "TERMINAL" not in each["name"]]
    }
    whole_file, blind_file = folder / "weir.toml", folder / "blind.toml"
    whole_file.write_text(tomli_w.dumps(values))
    blind_file.write_text(tomli_w.dumps(blind))
    return whole_file, blind_file


def write_events(folder: Path, data: Path, span: dict[str, str]) -> tuple[Path, Path, Path]:
    """Files of what is learned from, of the same with wrong amounts, and of the stream."""
    whole = pq.read_table(data)
    times = pc.cast(whole["TX_DATETIME"], "timestamp[ms]")

    def between(first: str, end: str) -> Any:
        low, high = (
            pc.cast(pc.strptime(day, "%Y-%m-%d", "ms"), times.type) for day in (first, end)
        )
        return whole.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high)))

    learned = between(span["history"], LEARNED[1])
    place = learned.schema.get_field_index("TX_AMOUNT")
    wrong = learned.set_column(place, "TX_AMOUNT", pc.divide(learned["TX_AMOUNT"], 100.0))
    files = folder / "learned.parquet", folder / "wrong.parquet", folder / "stream.parquet"
    for path, table in zip(
        files, (learned, wrong, between(span["stream"], span["end"])), strict=True
    ):
        pq.write_table(table, path)
    return files


def play(stage: Stage, events: Path, first: str, end: str, rate: int | None = None) -> int:
    """Send a part of the stream."""
    pace = () if rate is None else ("--rate", str(rate))
    sent: int = stage.weir("replay", str(events), "--from", first, "--to", end, *pace)["events"]
    return sent


class Player:
    """Sends the rest of the stream, meanwhile."""

    def __init__(self, stage: Stage, stream: Path, span: dict[str, str]) -> None:
        arguments = ("replay", str(stream), "--from", span["judged"], "--rate", str(RATE))
        self._process = subprocess.Popen(
            tied_to_us(our_module("weir", *arguments, "--config", str(stage.config), "--json")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "subprocess.Popen[bytes]":
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)


def tell_story(
    stage: Stage,
    stack: ExitStack,
    files: tuple[Path, ...],
    span: dict[str, str],
    told: Told,
    blind: Path,
) -> bool:
    """All three; whether each ended as it has to."""
    learned, wrong, stream = files
    learn = ("train", "--from", LEARNED[0], "--to", LEARNED[1], "--data")
    stage.weir(*learn, str(learned), config=blind)
    told("version 1, which knows nothing of terminals, is champion")
    stage.weir(*learn, str(learned))
    stage.weir(*learn, str(wrong))
    told("version 2 knows terminals; version 3 learned amounts in hundreds of euros")
    stage.weir("topics")
    for name in ("score", "shadow", "judge", "canary"):
        stage.start(stack, name)
    stage.weir("shadow", "add", "1", "--name", "same")
    stage.weir("shadow", "add", "2", "--name", "terminals")
    until("the candidates", lambda: stage.metric("shadow", "weir_shadow_candidate_answering") == 2)
    told("in the shadow: the champion as its own candidate, and version 2")

    sent = play(stage, stream, span["stream"], span["judged"])
    told(f"{sent:,} events up to {span['judged']} are sent")
    until("the scores", lambda: stage.metric("score", "weir_events_total") >= sent)
    told("all of them are scored")

    def judged() -> bool:
        both = [stage.last(name) for name in ("same", "terminals")]
        return all(each is not None and each.found["events"] > 0.99 * sent for each in both)

    until("the judge", judged)
    same, better = stage.last("same"), stage.last("terminals")
    assert same is not None
    assert better is not None
    cost, own = better.found["cost"], same.found["cost"]
    told(
        f"(a) the champion beside itself, {same.found['mature']:,} mature events: "
        f"{same.verdict.value}, ln E = {own['log_better']:g} and {own['log_worse']:g}"
    )
    told(
        f"(c) version 2, {better.found['mature']:,} mature events, "
        f"{better.found['recall']['events']:,} frauds: {better.verdict.value}, ln E = "
        f"{cost['log_better']:.1f}; saves {cost['mean']:.3f} per event; recall "
        f"{better.found['recall']['champion']:.3f} to {better.found['recall']['candidate']:.3f}"
    )
    no_verdict = same.verdict.value == "inconclusive" and own["log_better"] == own["log_worse"] == 0
    superior = better.verdict.value == "better"

    begun = stage.weir("canary", "start", "3", "--by", "ada")["experiment"]["experiment"]
    player = stack.enter_context(Player(stage, stream, span))
    until("the canary", lambda: stage.metric("score", 'weir_arm_share{arm="canary"') > 0)
    ended = until("the roll-back", lambda: stage.weir("canary", "status").get("ended"))
    shares = {arm.share for each in stage.gates() if each.experiment == begun for arm in each.arms}
    told(f"(b) version 3 at {max(shares):.0%} of the keys: {ended['note']}")
    rolled_back = shares == {0.01} and ended["note"].startswith("rolled back")

    begun = stage.weir("canary", "start", "2", "--by", "ada")["experiment"]["experiment"]
    done = until(
        "the last step",
        lambda: (
            [g for g in stage.gates() if g.experiment == begun and g.deed in ("done", "roll back")]
            or (player.poll() is not None and ["the stream is over"])
        ),
    )
    for each in stage.gates():
        if each.experiment == begun and each.deed in ("step", "done", "roll back"):
            told(f"(c) canary at {each.arms[0].share:.0%}: {each.deed}: {each.why}")
    stepped = isinstance(done[-1], GateRecord) and done[-1].deed == "done"
    gates = stage.weir("models", "promote", "2", "--by", "ada") if stepped and superior else {}
    told(f"(c) promoted; gates: {gates.get('gates', 'not asked')}")
    return no_verdict and superior and rolled_back and stepped and bool(gates)


def main() -> None:
    """Play it and report."""
    args = arguments(
        __doc__ or "", data={"type": Path, "default": DATA / "handbook" / "transactions.parquet"}
    )
    span = QUICK if args.quick else WHOLE
    told = Told(show=True)
    os.environ["WEIR_METRICS__HOST"] = "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="weir-story-") as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(
            LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0))
        )
        config, blind = write_settings(folder, broker.bootstrap_servers)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        files = write_events(folder, args.data, span)
        stage = Stage(folder, config, kafka)
        try:
            met = tell_story(stage, stack, files, span, told, blind)
        except BaseException:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-3_000:]}", file=sys.stderr)
            raise
    report(
        args,
        name="story-shadow",
        figure=float(met),
        unit="1 where all three ended as they have to",
        target=1.0,
        met=met,
        details={"timeline": told.lines, "span": span},
        text="\n".join(told.lines),
    )


if __name__ == "__main__":
    main()
