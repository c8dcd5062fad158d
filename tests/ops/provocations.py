"""What makes alerts fire in a live run, one after the other."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.ops import hindrances, shifted_stream
from tests.ops.world import World

_BEGUN_S = 120
"""Until then, the archive has begun, or a job."""


@dataclass(frozen=True)
class Provocation:
    """What is done, which alerts have to fire within some seconds, and what is done after that."""

    alerts: tuple[str, ...]
    begin: Callable[[World], None]
    end: Callable[[World], None] = lambda world: None
    within_s: float = 300.0


def _hang_candidates(world: World, over: Event) -> None:
    while not over.wait(0.5):
        world.tell_children("shadow", signal.SIGSTOP)


def _candidates() -> Provocation:
    over = Event()

    def begin(world: World) -> None:
        Thread(target=_hang_candidates, args=(world, over), daemon=True).start()

    def end(world: World) -> None:
        over.set()
        sleep(1)
        world.tell_children("shadow", signal.SIGCONT)

    return Provocation(("WeirCandidateNotAnswering",), begin, end)


def _hiccups() -> Provocation:
    """A scorer that stands still for two seconds of three."""
    over = Event()

    def stop_and_go(world: World) -> None:
        while not over.is_set():
            world.tell("score", signal.SIGSTOP)
            sleep(2)
            world.tell("score", signal.SIGCONT)
            sleep(1)

    return Provocation(
        ("WeirLatencyHigh",),
        lambda world: Thread(target=stop_and_go, args=(world,), daemon=True).start(),
        lambda world: over.set(),
    )


def _dead_letters() -> Provocation:
    over = Event()

    def noise(world: World) -> None:
        while not over.wait(0.5):
            world.write(world.settings.topics.events, b"no event", 20)

    return Provocation(
        ("WeirDeadLetterBurst",),
        lambda world: Thread(target=noise, args=(world,), daemon=True).start(),
        lambda world: over.set(),
    )


def _no_explanation(world: World) -> None:
    world.write(world.settings.topics.explanations, b"no explanation", 3)


def _pinned_scorer(world: World) -> None:
    """A second scorer, of the other model; its answers go elsewhere."""
    topics = {role: f"other-{role}" for role in ("scores", "feature_log", "snapshots")}
    other = world.other_settings(
        "pinned", topics={"partitions": 2} | topics, loop={"group": "pinned"}
    )
    world.start("pinned", "score", "--model", "2", config=other)


def _locked_store() -> Provocation:
    held: list[sqlite3.Connection] = []

    def begin(world: World) -> None:
        held.append(sqlite3.connect(world.settings.data_dir / "explanations.db"))
        held[0].execute("BEGIN EXCLUSIVE")

    alerts = ("WeirStoreAway", "WeirNotReady", "WeirExplanationsBehind")
    # Until so many explanations wait, some minutes pass.
    return Provocation(alerts, begin, lambda world: held[0].close(), within_s=600)


def _no_room_for_snapshots(world: World) -> None:
    _limit(world, "100")


def _limit(world: World, size: str) -> None:
    resource = ConfigResource(
        ResourceType.TOPIC,
        world.settings.topics.snapshots,
        incremental_configs=[
            ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
        ],
    )
    admin = AdminClient({"bootstrap.servers": world.broker.bootstrap_servers})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


def _short_deadline(world: World) -> None:
    world.weir("policy", "set", "deadline=20ms", "fallback=review", "--version", "tight")


def _no_deadline(world: World) -> None:
    world.weir("policy", "set", "deadline=", "--version", "loose")


def _held_back() -> Provocation:
    """The cluster lets the scorer read less than what comes."""
    clients: list[str] = []

    def begin(world: World) -> None:
        bootstrap = world.broker.bootstrap_servers
        clients.extend(hindrances.members_of(bootstrap, world.settings.loop.group))
        hindrances.throttle(bootstrap, clients, 3_000)

    def end(world: World) -> None:
        hindrances.throttle(world.broker.bootstrap_servers, clients, None)

    return Provocation(("WeirLagGrowing",), begin, end)


def _slow_restore() -> Provocation:
    """A scorer that finds no snapshot, and that the cluster lets read its past slowly."""
    clients = ("weir",)

    def begin(world: World) -> None:
        hindrances.throttle(world.broker.bootstrap_servers, clients, 40_000)
        world.end("score", signal.SIGKILL)
        topics = {"partitions": 2, "snapshots": "weir.snapshots-anew"}
        config = world.other_settings("restored", topics=topics)
        world.weir("topics", config=config)
        world.start("score", "score", config=config)

    def end(world: World) -> None:
        hindrances.throttle(world.broker.bootstrap_servers, clients, None)

    return Provocation(("WeirRestoreSlow",), begin, end)


def _until_ended(alert: str, hinder: Callable[[World], Callable[[], None]]) -> Provocation:
    """What lasts until what it returned is called."""
    ends: list[Callable[[], None]] = []
    return Provocation((alert,), lambda world: ends.append(hinder(world)), lambda world: ends[0]())


def _open_transaction(world: World) -> Callable[[], None]:
    bootstrap = world.broker.bootstrap_servers
    return hindrances.open_transaction(bootstrap, world.settings.topics.drift_counts)


def _lost_id(world: World) -> Callable[[], None]:
    bootstrap = world.broker.bootstrap_servers
    return hindrances.take_id_again_and_again(bootstrap, world.settings.loop.transactional_id())


def _begun(folder: Path, pattern: str) -> Path:
    """What is there as soon as it has begun."""
    until = monotonic() + _BEGUN_S
    while not (found := list(folder.glob(pattern))):
        assert monotonic() < until, f"there is no {pattern} in {folder}"
        sleep(0.1)
    return found[0]


def _archive_away(world: World) -> Callable[[], None]:
    """A file lies where the archive's folder is."""
    folder = Path(world.settings.archive.place(world.settings.data_dir))
    _begun(folder.parent, folder.name)
    aside = folder.with_name("archive-aside")
    folder.rename(aside)
    folder.write_text("no folder")

    def end() -> None:
        folder.unlink()
        aside.rename(folder)

    return end


def _expired(world: World) -> None:
    """What the archive has not read yet is deleted in Kafka."""
    world.end("archive", signal.SIGKILL)
    sleep(10)
    # The others have read those long ago.
    hindrances.expire(world.broker.bootstrap_servers, world.settings.topics.feature_log, but=300)
    world.start("archive", "archive")


def _no_job_can_begin(world: World) -> Callable[[], None]:
    """A file lies where the folder of jobs is; and a person asks for one.

    Data are broken in this world, which would stand against it: the monitor is gone meanwhile, and
    its episodes are said to be over.
    """
    world.end("monitor", signal.SIGKILL)
    drift = world.settings.topics.drift
    for each in json.loads(world.weir("drift", "status", "--json"))["episodes"]:
        over = each | {"state": "closed", "ended": each["found"]}
        world.write(drift, json.dumps(over).encode(), 1, each["id"].encode())
    folder = world.settings.data_dir / "jobs"
    folder.write_text("no folder")
    world.weir("controller", "trigger")

    def end() -> None:
        folder.unlink()
        world.start("monitor", "monitor")

    return end


def _killed_job(world: World) -> None:
    process = _begun(world.settings.data_dir / "jobs", "*/process")
    os.killpg(int(process.read_text()), signal.SIGKILL)


def _end_judge(world: World) -> None:
    world.end("judge", signal.SIGKILL)


def _end_pinned(world: World) -> None:
    world.forget("pinned")
    world.end("pinned", signal.SIGKILL)


PROVOCATIONS = (
    # The settings of this world leave no room for entities, so features are broken, too; and
    # nobody takes alarms.
    Provocation(
        ("WeirWindowsFull", "WeirDataBreakage", "WeirAlertsUndelivered"), lambda world: None
    ),
    Provocation(
        ("WeirCovariateShift", "WeirAdversary", "WeirPerformanceLoss"),
        shifted_stream.begin,
        shifted_stream.end,
    ),
    _dead_letters(),
    Provocation(("WeirAuditChain",), _no_explanation),
    Provocation(
        ("WeirCanaryStopped",),
        lambda world: world.weir("canary", "pause") and None,
        lambda world: world.weir("canary", "resume") and None,
    ),
    _locked_store(),
    Provocation(("WeirScorersDiffer",), _pinned_scorer, _end_pinned),
    _hiccups(),
    _candidates(),
    Provocation(("WeirDeadlinesMissed",), _short_deadline, _no_deadline),
    Provocation(
        ("WeirSnapshotsFailing",), _no_room_for_snapshots, lambda world: _limit(world, "1048588")
    ),
    _until_ended("WeirTransactionsAborting", _lost_id),
    _until_ended("WeirMonitorStuck", _open_transaction),
    _until_ended("WeirArchiveAway", _archive_away),
    _until_ended("WeirControllerStuck", _no_job_can_begin),
    # Then the job begins.
    Provocation(("WeirRetrainingFailed",), _killed_job),
    Provocation(("WeirArchiveLost",), _expired),
    _held_back(),
    _slow_restore(),
    Provocation(("WeirProcessDown",), _end_judge),
    Provocation(
        ("WeirKafkaUnreachable",),
        lambda world: world.broker.stop() and None,
        lambda world: world.broker.start(die_with_parent=True) and None,
    ),
    Provocation(("WeirEventsStopped",), lambda world: world.end("replay")),
)
