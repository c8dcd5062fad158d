"""The headers of Kafka records that go along with their events, as texts."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.events.json_decoder import Decoder
from streams.events.record_batch import RecordBatch
from streams.events.record_headers import LONGEST_TEXT, header_of
from streams.kafka.message import Message, headers_of


def with_header_texts(
    decoder: Decoder, events: RecordBatch, messages: Sequence[Message], at: NDArray[np.intp]
) -> RecordBatch:
    """Events with the headers that their decoder names; nothing is read where it names none.

    Args:
        at: places of the events' records among `messages`, (n,).
    """
    if not decoder.headers:
        return events
    texts = header_texts(map(messages.__getitem__, at.tolist()), decoder.headers)
    return decoder.with_headers(events, texts)


def header_texts(messages: Iterable[Message], names: Sequence[str]) -> list[list[str | None]]:
    """For each record the text of each of these headers, None where it is missing.

    Of a repeated header the last one counts, and of its text the first 256 characters. Bytes that
    are no UTF-8 become U+FFFD. A record that has a header whose very name is no UTF-8 has none.

    Args:
        names: as `streams.events.record_headers.headers_among`.
    """
    keys = list(map(header_of, names))
    rows = []
    for message in messages:
        values = dict(headers_of(message) or ())
        rows.append([_text(values.get(key)) for key in keys])
    return rows


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    # A character takes four bytes at most: no more of a huge value is looked at.
    return value[: 4 * LONGEST_TEXT].decode(errors="replace")[:LONGEST_TEXT]
