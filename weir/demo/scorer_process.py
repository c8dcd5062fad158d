"""The scorer as a process of its own, as it would run in production."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.base.child_process import our_module, tied_to_us, without_relative_imports
from weir.config.errors import ScorerFailedError

_STOP_TIMEOUT_S = 30.0
_GIVE_UP_S = 5.0
"""After a failure or Ctrl-C there is nothing left worth waiting for."""


class DemoScorer:
    """Runs ``weir score`` for the length of a ``with`` block.

    Args:
        environment: of the process.
        log: where its output goes.
    """

    def __init__(self, config: Path, environment: Mapping[str, str], log: Path) -> None:
        self._config = config
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = our_module("weir", "score", "--metrics-port", "0")
        with self._log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal is for the demo, which then stops it.
            self._process = subprocess.Popen(
                tied_to_us([*command, "--config", str(self._config)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=without_relative_imports(self._environment),
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S if kind is None else _GIVE_UP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Raise `ScorerFailedError` if it no longer runs."""
        if self._process is not None and self._process.poll() is not None:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
            raise ScorerFailedError(
                f"the scorer ended with exit code {self._process.returncode}; its log "
                f"{self._log} ends:\n{tail}"
            )
