"""A real Prometheus with our rules, and a real Alertmanager behind it, which tells us."""

import json
import math
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import requests
import yaml

from streams.base.child_process import tied_to_us

OPS = Path(__file__).parents[2] / "monitoring" / "ops"
FASTER = 10
"""All spans of the rules are so many times shorter in a live run."""
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_READY_S = 60.0


def faster(rules: str) -> str:
    """Rules whose spans, offsets and `for` are `FASTER` times shorter."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * _SECONDS[match[3]] // FASTER
        return f"{match[1]}{max(seconds, 1)}s"

    return re.sub(r"(\[|:|for: |offset )(\d+)([smh])\b", shorter, rules)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Receiver(ThreadingHTTPServer):
    """Takes what Alertmanager sends.

    Attributes:
        told: names of alerts by the receiver's path, such as ``/pager``.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.told: dict[str, set[str]] = {}
        Thread(target=self.serve_forever, daemon=True).start()


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = {alert["labels"]["alertname"] for alert in said["alerts"]}
        self.server.told.setdefault(self.path, set()).update(names)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Prometheus:
    """Both of them, for a block; asks what `targets` says once a second."""

    def __init__(self, programs: Mapping[str, str], folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._targets = folder / "targets.json"
        self.receiver = Receiver()

    def __enter__(self) -> "Prometheus":
        pager = free_port()
        manager = (OPS / "alertmanager.yml").read_text(encoding="utf-8")
        manager = manager.replace("127.0.0.1:9080", f"127.0.0.1:{self.receiver.server_port}")
        (self._folder / "alertmanager.yml").write_text(manager.replace("10s", "1s"))
        config = yaml.safe_load((OPS / "prometheus.yml").read_text(encoding="utf-8"))
        for path in config["rule_files"]:
            (self._folder / path).parent.mkdir(exist_ok=True)
            (self._folder / path).write_text(faster((OPS / path).read_text(encoding="utf-8")))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [
            f"127.0.0.1:{pager}"
        ]
        self.ask({})
        config["scrape_configs"] = [
            {
                "job_name": "weir",
                "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "1s"}],
            }
        ]
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        # Debian's looks for its templates in /usr/share, so there it has to see what was unpacked.
        share = Path(self._programs["prometheus-alertmanager"]).parents[1] / "share"
        self._start(
            "prometheus-alertmanager",
            *("unshare", "--map-root-user", "--mount", "sh", "-c"),
            'mount --bind "$0" /usr/share && exec "$@"',
            str(share),
            self._programs["prometheus-alertmanager"],
            "--config.file=alertmanager.yml",
            f"--web.listen-address=127.0.0.1:{pager}",
            "--cluster.listen-address=",
            "--storage.path=alertmanager",
        )
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._start(
            "prometheus",
            self._programs["prometheus"],
            "--config.file=prometheus.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.path=tsdb",
        )
        self._wait_for("prometheus", self._url)
        self._wait_for("prometheus-alertmanager", f"http://127.0.0.1:{pager}")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
            process.wait(30)
        self.receiver.shutdown()

    def ask(self, jobs: Mapping[str, Sequence[str]]) -> None:
        """Say which addresses of which jobs are asked from now on."""
        told = [{"targets": [*each], "labels": {"job": job}} for job, each in jobs.items()]
        whole = self._targets.with_suffix(".new")
        whole.write_text(json.dumps(told))
        whole.rename(self._targets)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What a query has now, without what is no number."""
        found = self._get("query", query=expression)["result"]
        return [each for each in found if not math.isnan(float(each["value"][1]))]

    def history(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """What it had between two moments, in seconds since the epoch: 300 steps at most."""
        step = max(1, round((end - start) / 300))
        found: list[dict[str, Any]] = self._get(
            "query_range", query=expression, start=start, end=end, step=step
        )["result"]
        return found

    def names(self) -> list[str]:
        """Of all metrics that came."""
        found: list[str] = self._get("label/__name__/values")
        return found

    def _get(self, path: str, **parameters: Any) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def _wait_for(self, name: str, url: str) -> None:
        until = monotonic() + _READY_S
        while True:
            with suppress(requests.ConnectionError):
                if requests.get(f"{url}/-/ready", timeout=5).ok:
                    return
            log = (self._folder / f"{name}.log").read_text()
            assert monotonic() < until, f"{name} does not start: {log[-1_000:]}"
            sleep(0.2)

    def _start(self, name: str, *command: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    tied_to_us(command), cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
                )
            )
