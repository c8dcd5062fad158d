"""A running `weir shadow`, and the processes of its candidates."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import psutil

from streams.base.child_process import our_module, tied_to_us

_PATIENCE_S = 300.0
_CATCH_UP_S = 10.0
_LOOK_S = 0.2
_PORT = 19_467


class Shadow:
    """Runs for the length of a ``with`` block, which begins when its candidate answers.

    And, unless that takes long, when nothing waits for it.
    """

    def __init__(self, config: Path, log: Path) -> None:
        self._config, self._log = config, log
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Shadow":
        command = our_module("weir", "shadow", "--metrics-port", str(_PORT))
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                tied_to_us([*command, "--config", str(self._config)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = monotonic() + _PATIENCE_S
        while not self._answers():
            if monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"the shadow does not come up:\n{self._log.read_text()}")
            sleep(_LOOK_S)
        deadline = monotonic() + _CATCH_UP_S
        while not self._caught_up() and monotonic() < deadline:
            sleep(_LOOK_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.hit_candidates(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def hit_candidates(self, number: signal.Signals) -> None:
        """Send a signal to each candidate's process."""
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children():
                with suppress(psutil.Error):
                    child.send_signal(number)

    def said(self) -> dict[str, float]:
        """Events by what came of asking the candidate, and those that were shed."""
        names = ("weir_shadow_scores_total{", "weir_shadow_shed_events_total ")
        lines = [line for line in self._metrics() if line.startswith(names)]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def _answers(self) -> bool:
        return any(
            line.startswith("weir_shadow_candidate_answering{") and line.endswith(" 1.0")
            for line in self._metrics()
        )

    def _caught_up(self) -> bool:
        lag = [line for line in self._metrics() if line.startswith("weir_lag_records{")]
        return bool(lag) and all(line.endswith(" 0.0") for line in lag)

    def _metrics(self) -> list[str]:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{_PORT}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text.splitlines()
        return []
