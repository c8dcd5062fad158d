"""What is a ``traceparent``, and what goes along of a ``tracestate``."""

import pytest

from streams.events.record_headers import LONGEST_TEXT
from streams.tracing.headers import read_traceparent, whole_entries

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_traceparent_is_read_and_written_again() -> None:
    text = f"00-{TRACE}-{SPAN}-01"
    parent = read_traceparent(text)
    assert parent is not None
    assert (parent.trace_id, parent.span_id) == (TRACE, SPAN)
    assert parent.sampled
    assert parent.text() == text
    unsampled = read_traceparent(f"00-{TRACE}-{SPAN}-02")
    assert unsampled is not None
    assert not unsampled.sampled


def test_a_later_version_may_say_more() -> None:
    parent = read_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like")
    assert parent is not None
    assert parent.text() == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noise",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_malformed_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_no_half_of_an_entry_goes_along() -> None:
    whole = "a=1,b=2"
    assert whole_entries(whole) == whole
    assert whole_entries(f"{whole},c={'x' * 300}"[:LONGEST_TEXT]) == whole
    assert whole_entries("c=" + "x" * (LONGEST_TEXT - 2)) is None
    assert whole_entries("c=\ufffd") is None
    assert whole_entries("") is None
    assert whole_entries(None) is None
