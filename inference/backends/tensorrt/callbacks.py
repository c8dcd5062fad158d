"""What TensorRT calls back while it works: an error recorder and a progress monitor.

Both derive from classes of the loaded module, so they are made by functions. Neither may raise:
the library is not prepared for an exception from Python.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

from inference.backends.tensorrt.library import Library

Progress = Callable[[int, int], None]
"""Called with how many steps of how many are done."""

Cancelled = Callable[[], bool]
"""Whether to give up; asked at every step."""

_MOST_ERRORS = 64


def error_recorder(library: Library) -> Any:
    """Return an ``IErrorRecorder`` that keeps errors from any thread; see `errors_in`."""

    base: Any = library.module.IErrorRecorder

    class Recorder(base):  # type: ignore[misc]
        """Keeps the first errors; the later ones mostly follow from them."""

        def __init__(self) -> None:
            super().__init__()
            self._errors: list[tuple[Any, str]] = []
            self._overflowed = False
            self._lock = Lock()

        def clear(self) -> None:
            with self._lock:
                self._errors.clear()
                self._overflowed = False

        def has_overflowed(self) -> bool:
            return self._overflowed

        def num_errors(self) -> int:
            return len(self._errors)

        def get_error_code(self, index: int) -> Any:
            return self._errors[index][0]

        def get_error_desc(self, index: int) -> str:
            return self._errors[index][1]

        def report_error(self, code: Any, description: str) -> bool:
            with self._lock:
                self._overflowed = len(self._errors) >= _MOST_ERRORS
                if not self._overflowed:
                    self._errors.append((code, description))
            return True  # end what is being done

    return Recorder()


def errors_in(recorder: Any) -> str:
    """Return what a recorder holds as one line, and empty it."""
    texts = [recorder.get_error_desc(i) for i in range(recorder.num_errors())]
    recorder.clear()
    return "; ".join(dict.fromkeys(texts)) or "it does not say why"


def progress_monitor(library: Library, progress: Progress, cancelled: Cancelled) -> Any:
    """Return an ``IProgressMonitor`` that reports the outermost phase.

    An exception in `progress` or `cancelled` ends the build and is found in the monitor's
    ``raised``; ``gave_up`` says whether the caller cancelled.
    """

    base: Any = library.module.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        """Counts the steps of the phase that has no parent."""

        def __init__(self) -> None:
            super().__init__()
            self.raised: BaseException | None = None
            self.gave_up = False
            self._outermost: tuple[str, int] | None = None

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._outermost = (phase, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            try:
                if self._outermost is not None and phase == self._outermost[0]:
                    progress(step + 1, self._outermost[1])
                self.gave_up = self.gave_up or cancelled()
                return not self.gave_up and self.raised is None
            except BaseException as error:
                self.raised = error
                return False

        def phase_finish(self, phase: str) -> None:
            pass

    return Monitor()
