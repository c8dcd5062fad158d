"""The demo from beginning to end."""

import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from rich.live import Live

from inference.registry import CHAMPION, RegistryError
from streams.broker import BrokerError, LocalBroker
from streams.kafka import KafkaSettings, connect
from streams.pace import Pace
from streams.topics import ensure_topics
from weir.console import stderr, steps_bar
from weir.demo.player import Player
from weir.demo.scenario import Scenario, plan_scenario, simulated_events
from weir.demo.scorer_process import ScorerProcess
from weir.demo.screen import Screen
from weir.demo.summary import summarise
from weir.demo.watcher import Watcher
from weir.settings import EXAMPLE_FILE, Settings, load_settings
from weir.training_run import train_and_register
from weir.wiring import check_same_meaning, open_registry

_REFRESH_PER_S = 8


@dataclass(frozen=True)
class DemoOptions:
    """What the command line says."""

    folder: Path
    seconds: float
    rate: float
    data: Path | None
    config: Path | None
    show_progress: bool


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Run the demo and return its summary; leaves no process behind, whatever happens.

    Raises:
        PlaybackError: answers stopped coming.
        BrokerError, KafkaUnavailableError, InferenceError, ScorerFailedError: as their names say.
    """
    folder = options.folder.absolute()
    config = _prepare_folder(folder, options.config)
    settings = load_settings(config)
    live_wanted = max(1, round(options.rate * options.seconds))
    with ExitStack() as stack:
        broker = stack.enter_context(_running_broker(settings, options.show_progress))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(connect(kafka), settings.topics)
        path = options.data or simulated_events(folder, settings, live_wanted)
        scenario = plan_scenario(path, settings, live_wanted)
        model = _champion(settings, scenario, options.show_progress)
        watcher = Watcher(kafka, settings.topics.scores, settings.topics.dead_letters)
        stack.callback(watcher.close)
        with ScorerProcess(config, _environment(kafka), folder / "scorer.log") as scorer:
            screen = Screen(watcher.seen, model)
            if options.show_progress:
                stack.enter_context(
                    Live(screen, console=stderr, refresh_per_second=_REFRESH_PER_S, transient=True)
                )
            play = Player(settings, kafka, scenario.file, watcher, scorer, screen)
            history_rate = play("catching up with history", Pace(), None, scenario.live_from_ms)
            watcher.measure()
            title = f"live, {options.rate:,.0f} events/s"
            live_rate = play(
                title, Pace(rate=options.rate), scenario.live_from_ms, None, flush_labels=True
            )
        # The scorer has left, so its last transaction stands: what is read now is final.
        return summarise(
            settings,
            kafka,
            scenario,
            watcher.seen,
            events=play.sent,
            history_rate=history_rate,
            live_rate=live_rate,
            model=model,
            folder=folder,
        )


def _prepare_folder(folder: Path, config: Path | None) -> Path:
    """Write settings that keep everything inside the demo's folder; later commands can use them."""
    source = config or EXAMPLE_FILE
    load_settings(source)  # complains about the user's file under its own name
    values = tomllib.loads(source.read_text(encoding="utf-8"))
    values["data_dir"] = str(folder)
    values["broker"] = values.get("broker", {}) | {"data_dir": str(folder / "broker"), "port": 0}
    values.pop("kafka", None)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "weir.toml"
    target.write_text(tomli_w.dumps(values), encoding="utf-8")
    return target


def _environment(kafka: KafkaSettings) -> dict[str, str]:
    """The environment of the scorer: whatever cluster the user's own one names, it stays here."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_KAFKA__")}
    return ours | {"WEIR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers}


@contextmanager
def _running_broker(settings: Settings, show: bool) -> Iterator[LocalBroker]:
    """A broker of the demo's own, with empty topics."""
    broker = LocalBroker(settings.broker)
    if broker.status().running:
        raise BrokerError(
            f"a demo is running in {settings.data_dir} already: wait for its end, or choose "
            "another folder with --dir"
        )
    shutil.rmtree(settings.broker.data_dir, ignore_errors=True)
    with steps_bar(show) as bar:

        def told(step: str, done: int = 0, total: int = 0) -> None:
            bar(f"Apache Kafka: {step}", done / total if total else 0.0)

        broker.start(told, die_with_parent=True)
    try:
        yield broker
    finally:
        broker.stop()


def _champion(settings: Settings, scenario: Scenario, show: bool) -> str:
    """Short id of the registry's champion; trained first where there is none that fits."""
    registry = open_registry(settings)
    try:
        package = registry.resolve(CHAMPION)
        check_same_meaning(settings.plan(), package)
        return package.short_id
    except (RegistryError, ValueError):
        pass
    with steps_bar(show) as step:
        model = train_and_register(
            settings, scenario.file, scenario.train_from_ms, scenario.train_to_ms, progress=step
        )
    return model.package_id[:12]
