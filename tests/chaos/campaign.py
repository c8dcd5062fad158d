"""One campaign from its first process to its report."""

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tests.chaos import configuration, faults, model
from tests.chaos.clock import Clock
from tests.chaos.cluster import Cluster
from tests.chaos.commander import Commander
from tests.chaos.feeder import Feeder
from tests.chaos.finale import Finale
from tests.chaos.inspection import Given, Progress, inspect
from tests.chaos.monitor import Monitor
from tests.chaos.repeats import REMEMBERED
from tests.chaos.report import Report
from tests.chaos.scorers import Scorers
from tests.chaos.shadow.candidates import Candidates
from tests.chaos.shadow.transcript import records_behind
from tests.chaos.stage import Stage
from tests.chaos.violations import Violations
from tests.chaos.world import Habits, World
from weir.config.settings import load_settings
from weir.services.wiring import open_registry

_ROUTED_S = 60.0
_STUCK_S, _ARMS_GO_S = 180.0, 3.0
_OBEYED_S = 120.0
_SHADOWS = _MONITORS = 2
_LOOK_S = 1.0


@dataclass(frozen=True)
class Order:
    """What a campaign is to do.

    Attributes:
        minutes: for how long faults are injected; checking comes on top.
        faults, events: how many, spread over that time.
        only: kinds of faults, all if empty.
        repeats: share of events behind which one comes again; with any, the scorers leave them out.
        group_protocol: ``classic``, or ``consumer`` for that of KIP-848.
        topology, workers: of the scorers, and how many are wanted when no fault says otherwise.
        keep: the run's folder also where no promise was broken.
    """

    folder: Path
    seed: int
    minutes: float
    faults: int
    events: int
    only: tuple[str, ...] = ()
    topology: str = "fused"
    workers: int = 1
    group_protocol: str = "classic"
    keep: bool = False
    repeats: float = 0.0

    @property
    def keyed(self) -> bool:
        """Whether staged workers keep the key's windows beside its events.

        Half of the seeds do. The others can have partitions added, which moves keys.
        """
        return self.seed % 2 == 1

    @property
    def replay(self) -> str:
        """The command that does the same again."""
        options = [f"--faults {self.faults}", f"--events {self.events}"]
        if self.keep:
            options.append("--keep")
        if self.repeats:
            options.append(f"--repeats {self.repeats:g}")
        if self.group_protocol != "classic":
            options.append(f"--group-protocol {self.group_protocol}")
        options += [f'--only "{kind}"' for kind in self.only]
        topology = f" TOPOLOGY={self.topology} WORKERS={self.workers}" * (self.topology != "fused")
        return (
            f"make chaos SEED={self.seed} MINUTES={self.minutes:g}{topology} "
            f"ARGS='{' '.join(options)}'"
        )


def run(order: Order, progress: Progress) -> Report:
    """Run a campaign; a broken promise is in the report, whatever else fails is raised."""
    start = monotonic()
    shutil.rmtree(order.folder, ignore_errors=True)
    order.folder.mkdir(parents=True)
    report = Report(
        order.seed, order.minutes, order.topology, folder=str(order.folder), replay=order.replay
    )
    found = Violations()
    progress("starting Kafka", 0.0)
    cluster = Cluster(order.folder)
    keep = True
    try:
        values = configuration.settings(
            order.folder,
            cluster.bootstrap_servers,
            order.group_protocol,
            order.topology,
            keyed=order.keyed,
            deduplicate=REMEMBERED if order.repeats else None,
        )
        config = configuration.write(order.folder / "weir.toml", values)
        _weir("topics", "-c", str(config))
        progress("training the models", 0.0)
        models, damaged = model.train(config, order.folder, order.seed)
        given = _disturb(order, cluster, values, (models, damaged), report, found, progress)
        servers, repeats = cluster.bootstrap_servers, bool(order.repeats)
        inspect(order.folder, servers, given, report, found, progress, repeats=repeats)
        progress("losing the events topic", 1.0)
        lose = cluster.lose_the_end
        Finale(order.folder, servers, given.world, values, found, lose).run()
        keep = bool(found) or order.keep
    finally:
        cluster.close(keep=keep)
    if not keep:
        shutil.rmtree(order.folder)
    report.violations, report.examples = dict(found.counts), dict(found.examples)
    report.seconds = monotonic() - start
    return report


def _disturb(
    order: Order,
    cluster: Cluster,
    values: dict[str, Any],
    models: tuple[list[model.Model], model.Model],
    report: Report,
    found: Violations,
    progress: Progress,
) -> Given:
    seconds = order.minutes * 60
    staged = order.topology == "staged"
    monitor = Monitor(cluster.bootstrap_servers)
    world, usual = World(order.seed, order.events), Habits(repeated=order.repeats)
    feeder = Feeder(cluster.bootstrap_servers, world, order.events, seconds, usual)
    clock = Clock(order.folder / "clock")
    processes = partial(Scorers, order.folder / "weir.toml", order.folder, clock.environment)
    scorers = processes(shared=staged)
    shadows, monitors = (processes(command=each, shared=True) for each in ("shadow", "monitor"))
    injected: Counter[str] = report.plan
    doing = ["no fault yet"]

    def on_step() -> None:
        progress(
            f"{injected.total()} faults, {feeder.sent:,} events sent, "
            f"{monitor.answers.total():,} answers, {scorers.started} scorers: {doing[0]}",
            (monotonic() - begun) / seconds,
        )

    rng = np.random.default_rng([order.seed, 3])
    registry = open_registry(load_settings(order.folder / "weir.toml"))
    commander = Commander(
        cluster.bootstrap_servers,
        *models,
        set_alias=partial(registry.set_alias, "champion"),
        until=lambda done, limit: stage.until(done, limit),
        rng=np.random.default_rng([order.seed, 5]),
    )
    candidates = Candidates(commander, np.random.default_rng([order.seed, 6]))
    stage = Stage(
        order.folder,
        values,
        cluster,
        scorers,
        shadows,
        monitors,
        feeder,
        commander,
        candidates,
        clock,
        order.workers,
        staged,
        rng,
        found,
        monitor.answers.total,
        on_step,
    )
    kinds = [kind for kind in faults.possible(stage) if not order.only or kind in order.only]
    known = faults.kinds_of(order.topology)
    report.not_possible = [kind for kind in known if kind not in faults.possible(stage)]
    planned = faults.plan(np.random.default_rng([order.seed, 4]), order.faults, seconds, kinds)
    monitor.start()
    feeder.start()
    scorers.wanted, shadows.wanted, monitors.wanted = order.workers, _SHADOWS, _MONITORS
    begun = monotonic()
    candidates.begin()
    stage.until(lambda: monitor.answers.total() > 0, 120.0)
    begun = monotonic()
    try:
        for fault in planned:
            stage.pause(max(0.0, begun + fault.at - monotonic()))
            if feeder.failure is not None:
                raise RuntimeError(feeder.failure)
            doing[0] = fault.kind
            (injected if faults.inject(fault, stage) else report.skipped)[fault.kind] += 1
        doing[0] = "calm, until all is answered"
        clock.jump(0.0)
        cluster.start()
        _give_the_last_commands(stage)
        _wait_for_the_rest(stage, monitor, found)
        scorers.stop_all()
        doing[0] = "calm, until shadow and monitor have read all"
        for group, role in configuration.READERS.items():
            _wait_for(stage, group, role)
    finally:
        feeder.stop()
        scorers.stop_all()
        shadows.stop_all()
        monitors.stop_all()
        feeder.join(60.0)
        monitor.close()
    commander.close()
    report.exits, report.started = scorers.exits, scorers.started
    report.restored, report.last_words = scorers.restored, dict(scorers.last_words)
    report.aborted_inputs, report.resent_transactions = feeder.aborted, feeder.resent
    report.shadow_exits, report.shadows_started = shadows.exits, shadows.started
    report.monitor_exits, report.monitors_started = monitors.exits, monitors.started
    for detail in scorers.broken + shadows.broken + monitors.broken:
        found.add("scorer's end", detail)
    if feeder.failure is not None or feeder.is_alive():
        raise RuntimeError(feeder.failure or "the feeder does not end")
    report.delivered = dict(feeder.delivered)
    return Given(commander, feeder.first_of_last, world)


def _give_the_last_commands(stage: Stage) -> None:
    """Change model and policy once more; when all scorers obey, the last events may come."""
    feeder, commander = stage.feeder, stage.commander
    stage.until(lambda: feeder.waiting.is_set() or not feeder.is_alive(), _STUCK_S)
    commander.end_canary()
    commander.promote()
    commander.decide()
    if not stage.until(lambda: len(commander.served_by()) >= stage.workers, _OBEYED_S):
        detail = f"within {_OBEYED_S:.0f} s only by {sorted(commander.served_by())}"
        stage.found.add("last command not obeyed", detail)
    stage.pause(_ARMS_GO_S)
    feeder.may_end.set()


def _wait_for_the_rest(stage: Stage, monitor: Monitor, found: Violations) -> None:
    """Until all but the closing events are taken, or nothing has moved for long."""
    feeder = stage.feeder
    seen, since = -1, monotonic()
    while True:
        stage.pause(0.2)
        if not feeder.is_alive() and monitor.reached(
            feeder.last_offset_before_closing, feeder.answerable
        ):
            if stage.staged:
                # Who routes does not wait for what the closing events let go, nor for their labels.
                stage.until(
                    lambda: monitor.reached(feeder.last_offset, feeder.answerable), _ROUTED_S
                )
            return
        if feeder.failure is not None:
            return
        now = monitor.answers.total() + feeder.sent
        if now != seen:
            seen, since = now, monotonic()
        if monotonic() - since > _STUCK_S:
            detail = (
                f"no progress for {_STUCK_S:.0f} s; committed {monitor.committed}, "
                f"answers {dict(monitor.answers)} of {dict(feeder.answerable)}"
            )
            found.add("stuck", detail)
            return


def _wait_for(stage: Stage, group: str, role: str) -> None:
    """Until a group has committed the end of what it reads, or stands still for long."""
    servers = stage.cluster.bootstrap_servers
    seen, since = -1, monotonic()
    while (behind := records_behind(servers, group, role)) > 0:
        if behind != seen:
            seen, since = behind, monotonic()
        if monotonic() - since > _STUCK_S:
            detail = f"{behind} records of {configuration.TOPICS[role]} unread for {_STUCK_S:.0f} s"
            stage.found.add("group is stuck", f"{group}: {detail}")
            return
        stage.pause(_LOOK_S)


def _weir(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "weir", *arguments], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"weir {arguments[0]} failed: {done.stderr[-2_000:]}")
