"""The W3C headers that say which trace a record belongs to, and where they stand on their way.

`Trace Context <https://www.w3.org/TR/trace-context/>`_: ``traceparent`` names the trace, the span
that goes before, and whether it is sampled; ``tracestate`` is what others keep beside it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from streams.events.record_headers import LONGEST_TEXT, PREFIX
from streams.kafka.message import Header

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""Names of the headers, and of the columns of the feature log that keep their texts."""
TRACE_FIELDS = (PREFIX + TRACEPARENT, PREFIX + TRACESTATE)
"""What is carried along with an event where spans are made."""

_SAMPLED = 1
_FIRST_VERSION = "00"
# A later version may have more behind a dash, and ff is none.
_FORM = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class Parent(NamedTuple):
    """What a ``traceparent`` says: the trace, the span that goes before, flags; in hex digits."""

    trace_id: str
    span_id: str
    flags: str

    @property
    def sampled(self) -> bool:
        """Whether spans of this trace are kept."""
        return bool(int(self.flags, 16) & _SAMPLED)

    def text(self) -> str:
        """As a header has it."""
        return f"{_FIRST_VERSION}-{self.trace_id}-{self.span_id}-{self.flags}"


def read_traceparent(text: str) -> Parent | None:
    """What a ``traceparent`` says; None if it is malformed."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _FIRST_VERSION and more is not None:
        return None
    return Parent(trace_id, span_id, flags)


def whole_entries(tracestate: str | None) -> str | None:
    """A ``tracestate`` without the entry that was cut off at its end; None where nothing is left.

    None as well if it is not in ASCII, as the standard wants it.
    """
    if tracestate is None or not tracestate.isascii():
        return None
    if len(tracestate) >= LONGEST_TEXT:
        tracestate = tracestate.rpartition(",")[0]
    return tracestate or None


def headers_with(traceparent: str, tracestate: str | None) -> list[Header]:
    """The headers of a record that belongs to a trace."""
    headers: list[Header] = [(TRACEPARENT, traceparent.encode())]
    return headers if tracestate is None else [*headers, (TRACESTATE, tracestate.encode())]


def logged_texts(table: pa.Table) -> tuple[Sequence[str | None], Sequence[str | None]]:
    """From a table of the feature log the texts of both headers, of n events, None where missing.

    Nothing where the scorer made no spans.
    """
    if TRACEPARENT not in table.column_names:
        return (), ()
    return table[TRACEPARENT].to_pylist(), table[TRACESTATE].to_pylist()
