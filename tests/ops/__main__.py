"""`make ops-check`: rules by promtool, then a live run that shows every panel and fires alerts."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep, time

from monitoring.ops.dashboards import DASHBOARDS
from tests.ops import catalogue, provocations
from tests.ops.debian import MissingError, programs
from tests.ops.drawing import draw
from tests.ops.prometheus import OPS, Prometheus
from tests.ops.world import World

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_DATA_S = 360.0
_RUNS_S = 400.0
"""So long events have to have come, before their end is one of a stream that was not silent."""


def main() -> int:
    """Run all of it; 0 where everything is as it has to be."""
    parser = argparse.ArgumentParser(prog="make ops-check")
    parser.add_argument("--rules-only", action="store_true", help="promtool and amtool alone")
    parser.add_argument("--no-pictures", action="store_true", help="leave docs/images as it is")
    parser.add_argument("--only", metavar="ALERT", nargs="+", help="provoke no others")
    options = parser.parse_args()
    try:
        tools = programs()
    except MissingError as error:
        print(f"ops-check can't run: {error}")
        return 3
    sound = check_files(tools)
    if sound and not options.rules_only:
        with tempfile.TemporaryDirectory() as folder:
            sound = live(tools, Path(folder), pictures=not options.no_pictures, only=options.only)
    print("ops-check: all is as it has to be" if sound else "ops-check: FAILED, see above")
    return 0 if sound else 1


def check_files(tools: dict[str, str]) -> bool:
    """What promtool and amtool say of rules and examples."""
    rules = sorted(map(str, (OPS / "rules").glob("*.yml")))
    tests = sorted(map(str, (OPS / "rules" / "tests").glob("*.yml")))
    commands = (
        [tools["promtool"], "check", "rules", *rules],
        [tools["promtool"], "test", "rules", *tests],
        [tools["promtool"], "check", "config", str(OPS / "prometheus.yml")],
        [tools["amtool"], "check-config", str(OPS / "alertmanager.yml")],
    )
    codes = [subprocess.run(command).returncode for command in commands]  # each of them is heard
    return not any(codes)


def live(tools: dict[str, str], folder: Path, *, pictures: bool, only: list[str] | None) -> bool:
    """Run a small Weir under a real Prometheus, look at each panel, and make alerts fire."""
    print("live: training two models, and starting Kafka and all processes …", flush=True)
    with World(folder) as world, Prometheus(tools, folder) as prometheus:
        prometheus.ask(world.addresses())
        world.weir("shadow", "add", "2", "--name", "v2")
        world.weir("canary", "start", "2", "--no-blast-radius")
        begun, started = time(), monotonic()
        world.replay()
        sound = only is not None or shown(prometheus)
        sound &= named(prometheus)
        sound &= fired(world, prometheus, started, only)
        print(f"live: alerts told to {describe(prometheus)}")
        sound &= only is not None or prometheus.receiver.told.keys() == {"/pager", "/tickets"}
        if pictures:
            for name in DASHBOARDS:
                draw(name, prometheus, begun, time(), IMAGES / f"dashboard-{name}.png")
    return sound


def shown(prometheus: Prometheus) -> bool:
    """Whether every query of every dashboard shows something."""
    waiting = {
        (title, panel.title, query)
        for title, panels in DASHBOARDS.values()
        for panel in panels
        for query, _ in panel.queries
    }
    count, until = len(waiting), monotonic() + _DATA_S
    while waiting and monotonic() < until:
        sleep(2)
        waiting = {each for each in waiting if not prometheus.query(each[2])}
    for title, panel, query in sorted(waiting):
        print(f"live: {title} / {panel} shows nothing: {query}")
    print(f"live: {count - len(waiting)} of {count} queries show data", flush=True)
    return not waiting


def named(prometheus: Prometheus) -> bool:
    """Whether each metric that came stands in docs/metrics.md."""
    known = {each.name.removesuffix("_total") for each in catalogue.catalogue()}
    ends = ("_total", "_created", "_bucket", "_sum", "_count")
    strange = []
    for name in prometheus.names():
        base = next((name.removesuffix(end) for end in ends if name.endswith(end)), name)
        if name.startswith("weir_") and not {name, base} & known:
            strange.append(name)
    print(f"live: metrics that docs/metrics.md does not know: {strange or 'none'}", flush=True)
    return not strange


def fired(world: World, prometheus: Prometheus, started: float, only: list[str] | None) -> bool:
    """Provoke alerts; whether each one fired that has to."""
    sound = True
    for provocation in provocations.PROVOCATIONS:
        if only is not None and not {*only} & {*provocation.alerts}:
            continue
        if "WeirEventsStopped" in provocation.alerts:
            sleep(max(0.0, _RUNS_S - (monotonic() - started)))
        begun, missing = monotonic(), set(provocation.alerts)
        provocation.begin(world)
        prometheus.ask(world.addresses())
        while missing and monotonic() - begun < provocation.within_s:
            sleep(1)
            missing -= firing(prometheus)
        took = monotonic() - begun
        for alert in provocation.alerts:
            said = "did NOT fire" if alert in missing else f"fired within {took:.0f} s"
            print(f"live: {alert} {said}", flush=True)
        sound &= not missing
        provocation.end(world)
        prometheus.ask(world.addresses())
    return sound


def firing(prometheus: Prometheus) -> set[str]:
    """Alerts that fire now."""
    found = prometheus.query('ALERTS{alertstate="firing"}')
    return {each["metric"]["alertname"] for each in found}


def describe(prometheus: Prometheus) -> str:
    """How many alerts came to which receiver, through Alertmanager."""
    told = prometheus.receiver.told
    return ", ".join(f"{path} {len(names)}" for path, names in sorted(told.items())) or "nobody"


if __name__ == "__main__":
    sys.exit(main())
