"""Why a broker did not start, read from its log."""

from weir.broker.errors import BrokerError, PortInUseError
from weir.broker.state import Layout

_TAIL_LINES = 12
_READ_BYTES = 64 << 10
_STACK_FRAME = ("\tat ", "\t... ")

_KNOWN = (
    ("Address already in use", PortInUseError, "a port was taken while it started: start it again"),
    ("No space left on device", BrokerError, "the disk is full: free some space"),
    ("OutOfMemoryError", BrokerError, "its memory is too small: raise `broker.heap`"),
    ("Could not reserve enough space", BrokerError, "`broker.heap` is more than this machine has"),
    ("Invalid maximum heap size", BrokerError, "`broker.heap` is not one that Java accepts"),
    (
        "UnsupportedVersionException",
        BrokerError,
        "a newer Kafka than ours wrote its data: move the folder away, or name another one in "
        "`broker.data_dir`",
    ),
    ("ConfigException", BrokerError, "`broker.properties` has an entry that Kafka rejects"),
    ("Failed to acquire lock", BrokerError, "another Kafka uses the same folder: stop that one"),
)


def log_size(layout: Layout) -> int:
    """Return where the next start's words will begin in the log."""
    return layout.log.stat().st_size if layout.log.exists() else 0


def failure(what: str, layout: Layout, log_start: int) -> BrokerError:
    """Return an error that says `what` happened, the cause if it is a known one, and the log."""
    log = _read(layout, log_start)
    kind, cause = BrokerError, ""
    for sign, kind_of_sign, words in _KNOWN:
        if sign in log:
            kind, cause = kind_of_sign, f": {words}"
            break
    told = [line for line in log.splitlines() if not line.startswith(_STACK_FRAME)]
    tail = "\n".join(f"  {line}" for line in told[-_TAIL_LINES:])
    return kind(f"the broker {what}{cause}\nThe end of {layout.log}:\n{tail or '  (empty)'}")


def _read(layout: Layout, log_start: int) -> str:
    """Return Java's own output and then this start's part of the log, their ends at most."""
    parts = []
    for path, start in ((layout.output, 0), (layout.log, log_start)):
        if path.exists():
            with path.open("rb") as file:
                size = path.stat().st_size
                # A log that was rolled meanwhile is shorter than it was.
                begin = start if start <= size else 0
                file.seek(max(begin, size - _READ_BYTES))
                parts.append(file.read().decode(errors="replace"))
    return "".join(parts)
