"""The demo from beginning to end."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import psutil
from rich.live import Live

from inference.packages.mlflow_connection import RegistryError
from inference.packages.package import ModelPackage, PackageError
from inference.packages.registry import CHAMPION_ALIAS
from streams.kafka.client import KafkaSettings, connect
from streams.replay.pace import Pace
from weir.broker import BrokerError, LocalBroker
from weir.cli.console import draws, stderr, steps_bar
from weir.config.errors import DemoError
from weir.config.settings import Settings
from weir.demo.folder import prepare_folder, scorer_environment
from weir.demo.player import Display, Player
from weir.demo.scenario import Scenario, plan_scenario, simulated_events
from weir.demo.scorer_process import DemoScorer
from weir.demo.screen import Lines, Screen
from weir.demo.stage import Stage
from weir.demo.summary import summarise
from weir.demo.trial import Trial, Tried
from weir.demo.watcher import Seen, Watcher
from weir.services.wiring import ensure_all_topics, open_registry
from weir.training.registering import train_and_register

_REFRESH_PER_S = 8
_CANDIDATE = "candidate"


@dataclass(frozen=True)
class DemoOptions:
    """What the command line says.

    Attributes:
        alone: no candidate is tried, and nobody watches for drift.
        stopped: set when the demo is to end. It is told by an exception, too, wherever it is at;
            which a library may swallow.
    """

    folder: Path
    seconds: float
    rate: float
    data: Path | None
    config: Path | None
    show_progress: bool
    alone: bool = False
    stopped: Event = field(default_factory=Event)

    def check(self) -> None:
        """Go on, unless the demo is to end.

        Raises:
            KeyboardInterrupt: it is.
        """
        if self.stopped.is_set():
            raise KeyboardInterrupt


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Run the demo and return its summary; leaves no process behind, whatever happens.

    Raises:
        SettingsError, EventFileError: what the user gave can't be played; nothing was started.
        DemoError: answers stopped coming, or the scorer ended.
        BrokerError, KafkaUnavailableError, InferenceError: as their names say.
    """
    folder = options.folder.absolute()
    config, settings = prepare_folder(folder, options.config)
    live_wanted = max(1, round(options.rate * options.seconds))
    scenario = _scenario(folder, settings, options, live_wanted)
    options.check()
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(settings, options))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_all_topics(connect(kafka), settings)
        broker_runs = _broker_check(broker, options)
        options.check()
        model = _model(settings, scenario, CHAMPION_ALIAS, options.show_progress)
        watcher = Watcher(kafka, settings.topics.scores, settings.topics.dead_letters)
        stack.callback(watcher.close)
        with DemoScorer(config, scorer_environment(folder, kafka), folder / "scorer.log") as scorer:
            trial = None
            if not options.alone:
                candidate = _candidate(settings, scenario, options.show_progress)
                stage = stack.enter_context(
                    Stage(folder, config, kafka, settings.topics.comparisons, options.stopped)
                )
                trial = Trial(stage, str(candidate.version), watcher.seen.arms.__getitem__)
            tried = None if trial is None else trial.seen
            display = stack.enter_context(_display(options, watcher.seen, tried, model.short_id))
            play = Player(settings, kafka, scenario.file, watcher, scorer, display, broker_runs)
            history_rate = play("catching up with history", Pace(), None, scenario.live_from_ms)
            watcher.measure()
            title = f"live, {options.rate:,.0f} events/s"
            if trial is not None:
                display.phase("a candidate and the monitor are starting", play.sent)
            with trial or nullcontext():
                live_rate = play(
                    title, Pace(rate=options.rate), scenario.live_from_ms, None, flush_labels=True
                )
            found = None if trial is None else trial.found()
        # The scorer has left, so its last transaction stands: what is read now is final.
        return summarise(
            settings,
            kafka,
            scenario,
            watcher.seen,
            events=play.sent,
            history_rate=history_rate,
            live_rate=live_rate,
            model=model.short_id,
            folder=folder,
            trial=found,
        )


@contextmanager
def _display(
    options: DemoOptions, seen: Seen, tried: Tried | None, model: str
) -> Iterator[Display]:
    screen = Screen(seen, model, tried)
    if not options.show_progress:
        yield screen
    elif draws(stderr):
        with Live(screen, console=stderr, refresh_per_second=_REFRESH_PER_S, transient=True):
            yield screen
    else:
        yield Lines()


def _scenario(folder: Path, settings: Settings, options: DemoOptions, live: int) -> Scenario:
    with steps_bar(options.show_progress) as step:
        path = options.data
        if path is None:
            step("simulating card transactions", 0.0)
            path = simulated_events(folder, settings, live)
        step(f"reading {path.name}", 0.5)
        return plan_scenario(path, settings, live)


@contextmanager
def running_broker(settings: Settings, options: DemoOptions) -> Iterator[LocalBroker]:
    """A broker of the demo's own, with empty topics."""
    broker = LocalBroker(settings.broker)
    if broker.status().running:
        raise BrokerError(
            f"a broker runs in {settings.data_dir} already: wait for the end of the demo that "
            f"started it, end it with `weir broker stop --config {settings.data_dir}/weir.toml`, "
            "or choose another folder with --dir"
        )
    shutil.rmtree(settings.broker.data_dir, ignore_errors=True)
    with steps_bar(options.show_progress) as bar:

        def told(step: str, done: int = 0, total: int = 0) -> None:
            options.check()
            bar(f"Apache Kafka: {step}", done / total if total else 0.0)

        broker.start(told, die_with_parent=True)
    try:
        yield broker
    finally:
        broker.stop()


def _broker_check(broker: LocalBroker, options: DemoOptions) -> Callable[[], None]:
    """A function that raises `DemoError` once the broker has ended; clients would go on trying.

    And it looks whether the demo is to end.
    """
    process = psutil.Process(broker.status().pid)
    log = broker.settings.data_dir / "server.log"

    def check() -> None:
        options.check()
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise DemoError(f"the broker ended; its log is {log}")

    return check


@dataclass(frozen=True)
class _Known:
    """A model in the registry."""

    version: int
    short_id: str


def _candidate(settings: Settings, scenario: Scenario, show: bool) -> _Known:
    """One that learns from the same events with half as many trees: quicker, and is it as good?"""
    training = settings.training
    trees = training.trees.model_copy(update={"rounds": max(1, training.trees.rounds // 2)})
    smaller = settings.model_copy(update={"training": training.model_copy(update={"trees": trees})})
    return _model(smaller, scenario, _CANDIDATE, show)


def _model(settings: Settings, scenario: Scenario, alias: str, show: bool) -> _Known:
    """The registry's model of that alias; trained first where there is none that fits."""
    with steps_bar(show) as step:
        step("opening the registry of models", 0.0)
        registry = open_registry(settings)
        try:
            package = registry.resolve(alias)
            if _fits(package, settings, scenario):
                return _Known(registry.get(alias).version, package.short_id)
        except (RegistryError, PackageError):
            pass
        # The demo's control topic is as new as its broker, so the registry's word counts.
        model = train_and_register(
            settings, scenario.file, scenario.train_from_ms, scenario.train_to_ms, alias, step
        )
    return _Known(model.version, model.package_id[:12])


def _fits(package: ModelPackage, settings: Settings, scenario: Scenario) -> bool:
    """Whether a model is of these features and events, and saw none that are streamed live."""
    return (
        package.features.schema_hash == settings.plan().schema_hash
        and package.card.data.sha256 == scenario.file.sha256
        and package.card.data.last_time < scenario.train_to_ms
    )
