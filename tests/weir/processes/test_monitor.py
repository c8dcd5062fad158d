"""`weir monitor`: each event counts once, and each episode is said once, whoever is killed."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from front_door import Trained
from front_door import weir_here as weir
from group_lag import group_lag
from running_scorer import Scorer, replay

from monitoring.counting.cell_counts import DECODE, CellCounts
from monitoring.episodes.episode import DECODE_EPISODE, Episode
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
TOKEN = "0123456789abcdef"
COUNT = 6_000
QUIET = 4_000


def values(settings: Settings, topic: str) -> list[bytes]:
    return [
        message.value() or b"" for batch in read_to_end(settings.kafka, topic) for message in batch
    ]


def counted(settings: Settings) -> int:
    found = [DECODE(each) for each in values(settings, settings.topics.drift_counts)]
    return sum(each.events for each in found if isinstance(each, CellCounts))


def said(settings: Settings) -> list[Episode]:
    return [DECODE_EPISODE(each) for each in values(settings, settings.topics.drift)]


def asked(
    monitor: Scorer, path: str, body: dict[str, str] | None = None, token: str = ""
) -> tuple[int, str]:
    """Status and text of a page of its port; POSTed where there is a body."""
    address = re.search(r"answers on (http://\S+):", monitor.log)
    assert address is not None
    sent = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with urlopen(Request(address[1] + path, sent, headers), timeout=30) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def in_cents(events: Path, folder: Path) -> Path:
    """The last of the events have a hundred times the amount."""
    table = pq.read_table(events).slice(0, COUNT)
    amounts = table["amount"]
    late = pa.array([place >= QUIET for place in range(COUNT)])
    changed = pc.if_else(late, pc.multiply(amounts, 100), amounts).cast(amounts.type)
    path = folder / "cents.parquet"
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", changed), path)
    return path


def test_each_event_counts_once_and_each_episode_is_said_once(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], tmp_path: Path
) -> None:
    path = config(
        metrics={"port": 0, "token": TOKEN},
        monitor={
            "group": f"monitor-{os.urandom(4).hex()}",
            "interval": "1h",
            "session_timeout": "6s",
            "transaction_timeout": "6s",
            "niceness": 1,  # other tests want the processors all the time
        },
    )
    settings = load_settings(path)
    assert weir("topics", "-c", path).returncode == 0
    shown = weir("drift", "status", "-c", path)
    assert (shown.returncode, "no drift" in shown.stdout) == (0, True)
    scorer = start(path)
    replay(path, in_cents(trained.events, tmp_path), COUNT)
    first = start(path, command="monitor")
    first.wait_for(lambda: counted(settings) > 0, 120)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second, third = (start(path, command="monitor") for _ in range(2))
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 120)
    second.wait_for(lambda: counted(settings) >= COUNT // 2, 120)
    second.process.send_signal(signal.SIGKILL)
    third.wait_for(lambda: counted(settings) >= COUNT, 120)
    group, counts = f"{settings.monitor.group}-drift", settings.topics.drift_counts
    third.wait_for(
        lambda: set(group_lag(settings.kafka.bootstrap_servers, group, counts).values()) == {0}, 120
    )
    assert counted(settings) == COUNT

    episodes = said(settings)
    changes = Counter(
        (each.id, each.state, tuple(each.away), each.together and each.together.vectors)
        for each in episodes
    )
    assert set(changes.values()) == {1}
    listed = json.loads(weir("drift", "status", "--json", "-c", path).stdout)
    (episode,) = listed["episodes"]
    assert (episode["kind"], episode["retraining"]) == ("data_breakage", "blocked")
    assert listed["retraining"]["state"] == "blocked"
    assert third.metrics()["weir_drift_retraining:blocked"] == 1
    moved = {each["name"]: each for each in episode["features"]}
    assert "amount" in moved, sorted(moved)
    assert moved["amount"]["now"] > moved["amount"]["before"]
    assert len(episodes) < 20, "said as often as something changed"
    assert moved["amount"]["psi"] > settings.monitor.delta
    assert third.metrics()["weir_drift_episodes_open"] == 1

    page = tmp_path / "page.html"
    assert weir("drift", "page", episode["id"][:6], "--out", page, "-c", path).returncode == 0
    assert moved["amount"]["words"].split(";")[0] in unescape(page.read_text())
    one = f"/drift/episodes/{episode['id']}"
    third.wait_for(lambda: asked(third, one)[0] == 200, 60)
    assert json.loads(asked(third, one)[1]) == episode
    assert "<h2>Timeline" in asked(third, f"{one}/page")[1]
    assert asked(third, f"{one}/snooze", {"by": "eve", "for": "1h"}, "wrong")[0] == 401
    assert asked(third, f"{one}/snooze", {"by": "eve", "for": "1h"}, TOKEN)[0] == 202
    third.wait_for(lambda: said(settings)[-1].snoozed_until is not None, 60)
    acknowledged = weir("drift", "ack", episode["id"][:6], "--by", "ada", "-c", path)
    assert acknowledged.returncode == 0, acknowledged.stderr
    third.wait_for(lambda: said(settings)[-1].acknowledged_by == "ada", 60)
    assert weir("drift", "close", episode["id"], "--by", "ada", "-c", path).returncode == 0
    third.wait_for(lambda: said(settings)[-1].state == "closed", 60)
    told = weir("drift", "show", episode["id"], "-c", path).stdout
    assert "close by ada" in told
    assert "amount" in told
    again = weir("drift", "ack", episode["id"], "-c", path)
    assert (again.returncode, "is over" in again.stderr) == (2, True)
    assert third.end() == 0, third.log
    assert "Traceback" not in third.log
