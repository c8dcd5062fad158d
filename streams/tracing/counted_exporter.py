"""Spans leave here: counted, within a bound, and with a line of log a minute where they can't."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Literal

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

MOST_WAITING = 8_192
"""Spans that wait to be sent, of about 2 KB each."""
_SAY_EVERY_S = 60.0
_LONGEST_REASON = 300

Outcome = Literal["exported", "failed", "dropped", "malformed"]
"""What becomes of a span: a collector took it, or did not; too many waited for it; the header that
it would have begun by is malformed."""
Count = Callable[[Outcome, int], None]


class CountedExporter(SpanExporter):
    """Passes spans on to an exporter, and knows how many wait for it.

    Args:
        endpoint: where they go to, for people.
        count: told how many spans have come to which end.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str, count: Count) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._count = count
        self._lock = Lock()
        self._waiting = 0
        self._reason = _Reason()
        self._lost = 0
        self._say_at = 0.0
        self._closed = False

    @property
    def room(self) -> int:
        """For how many more spans there is room; any thread may ask."""
        return MOST_WAITING - self._waiting

    def admit(self, wanted: int) -> int:
        """Take up room for spans that are about to end; returns for how many there is."""
        with self._lock:
            admitted = min(wanted, self.room)
            self._waiting += admitted
        if admitted < wanted:
            self._count("dropped", wanted - admitted)
        return admitted

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, or lose them."""
        with self._reason:
            result = self._exporter.export(spans)
        with self._lock:
            self._waiting -= len(spans)
        if result is SpanExportResult.SUCCESS:
            self._count("exported", len(spans))
        else:
            self._count("failed", len(spans))
            self._complain(len(spans))
        return result

    def shutdown(self) -> None:
        """Give up what is being sent; the SDK does so once more when its thread ends."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()

    def _complain(self, lost: int) -> None:
        self._lost += lost
        if monotonic() < self._say_at:
            return
        logger.warning(
            "can't send spans to %s, and %d are lost; scores go on without them. See "
            "tracing.endpoint: %s",
            self._endpoint,
            self._lost,
            self._reason.text[:_LONGEST_REASON] or "no reason is given",
        )
        self._lost, self._say_at = 0, monotonic() + _SAY_EVERY_S


class _Reason(logging.Handler):
    """Keeps what the exporter says of an attempt first, in place of its lines in the log."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._says = logging.getLogger("opentelemetry.exporter")

    def emit(self, record: logging.LogRecord) -> None:
        self.text = self.text or record.getMessage()

    def __enter__(self) -> None:
        self.text = ""
        self._says.addHandler(self)
        self._says.propagate = False

    def __exit__(self, *_: object) -> None:
        self._says.removeHandler(self)
        self._says.propagate = True
