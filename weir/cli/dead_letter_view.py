"""How dead letters look, to people and to programs."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from streams.base.masking import without_secrets
from streams.base.safe_text import safe_text
from streams.dead_letters.letter import DeadLetter
from streams.dead_letters.reader import DeadLetterReader, StoredDeadLetter
from streams.dead_letters.requeue import RequeueReport
from streams.events.rejection import Reason
from weir.cli.console import stdout
from weir.cli.dates import moment

_EXCERPT = 60
_HEX_COLUMNS = 16


@dataclass
class ReasonCount:
    """Letters of one reason: all, those that were requeued, and when they came, UTC ms."""

    letters: int = 0
    requeued: int = 0
    partial: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def count(self, stored: StoredDeadLetter) -> None:
        """Count one."""
        at_ms = stored.letter.at_ms
        self.letters += 1
        self.requeued += stored.requeued_ms is not None
        self.partial += stored.letter.is_partial
        self.first_ms = at_ms if self.first_ms is None else min(self.first_ms, at_ms)
        self.last_ms = at_ms if self.last_ms is None else max(self.last_ms, at_ms)


@dataclass
class Counts:
    """Letters by reason."""

    by_reason: dict[str, ReasonCount] = field(default_factory=dict)

    def count(self, stored: StoredDeadLetter) -> None:
        """Count one."""
        self.by_reason.setdefault(stored.letter.reason, ReasonCount()).count(stored)

    @property
    def letters(self) -> int:
        """All of them."""
        return sum(each.letters for each in self.by_reason.values())

    def table(self) -> Table:
        """The most frequent reason first."""
        table = Table(
            "reason",
            Column("letters", justify="right"),
            Column("requeued", justify="right"),
            Column("partial", justify="right"),
            "first",
            "last",
        )
        for reason, each in sorted(self.by_reason.items(), key=lambda item: -item[1].letters):
            numbers = (f"{n:,}" for n in (each.letters, each.requeued, each.partial))
            table.add_row(reason, *numbers, moment(each.first_ms, "s"), moment(each.last_ms, "s"))
        return table


def letters_table(letters: Sequence[StoredDeadLetter]) -> Table:
    """One line per letter."""
    longest = max((len(str(stored.source)) for stored in letters), default=0)
    # Where it is narrow, only the detail is cut.
    table = Table(
        Column("id", min_width=longest),
        Column("rejected", min_width=len("2026-11-21 09:22:35")),
        Column("reason", min_width=max(map(len, Reason))),
        Column("key", max_width=20),
        Column("bytes", justify="right", min_width=5),
        Column("detail", no_wrap=True),
        Column("state", min_width=len("requeued")),
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1),
    )
    for stored in letters:
        letter = stored.letter
        table.add_row(
            str(stored.source),
            moment(letter.at_ms, "s"),
            letter.reason,
            key_text(letter.key),
            f"{original_size(letter):,}",
            _excerpt(letter.detail),
            state(stored),
        )
    return table


def show_letter(console: Console, stored: StoredDeadLetter, limit: int) -> None:
    """Everything about one letter; of its value at most `limit` bytes."""
    letter = stored.letter
    facts = Table.grid(padding=(0, 2))
    for label, value in (
        ("record", str(stored.source)),
        ("letter", str(stored.place)),
        ("reason", letter.reason),
        ("field", letter.field or "- (the record as a whole)"),
        ("detail", letter.detail),
        ("rejected", f"{moment(letter.at_ms)} by weir {letter.version}"),
        ("record's time", moment(letter.timestamp_ms)),
        ("state", state(stored)),
        ("attempts", str(letter.attempts)),
        ("key", key_text(letter.key)),
        ("value", _value_facts(letter)),
        *((f"header {name}", _header_text(value)) for name, value in letter.headers),
    ):
        facts.add_row(label, value)
    console.print(facts)
    for number, past in enumerate(letter.history, 1):
        console.print(_history_line(number, past), soft_wrap=True)
    if letter.value:
        console.print()
        for line in value_lines(letter.value, limit):
            console.print(line, soft_wrap=True)


def value_lines(value: bytes, limit: int) -> list[str]:
    """A record's value as text where it is text, else in hexadecimal; a note says what is cut."""
    shown = value[:limit]
    text = as_text(shown) if len(shown) == len(value) else _text_before_a_cut(shown)
    lines = _hex_lines(shown) if text is None else text.split("\n")
    if len(shown) < len(value):
        lines.append(
            f"… {len(value) - len(shown):,} more bytes: --bytes shows more, --raw writes them all"
        )
    return lines


def as_json(stored: StoredDeadLetter) -> dict[str, Any]:
    """A letter for programs; what is no text is in base64, under a name that says so."""
    letter = stored.letter
    return {
        "id": str(stored.source),
        "letter": str(stored.place),
        "reason": letter.reason,
        "field": letter.field,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp_ms": letter.timestamp_ms,
        "rejected_ms": letter.at_ms,
        "requeued_ms": stored.requeued_ms,
        "version": letter.version,
        "attempts": letter.attempts,
        "history": [dict(past) for past in letter.history],
        "partial": letter.is_partial,
        "truncated_from": letter.truncated_from,
        "sha256": letter.sha256,
        "dropped": letter.dropped,
        "last_offset": letter.last_offset,
        **_bytes_as_json("key", letter.key),
        **_bytes_as_json("value", letter.value),
        "headers": [{"name": n, **_bytes_as_json("value", v)} for n, v in letter.headers],
    }


def state(stored: StoredDeadLetter) -> str:
    """What became of a letter, or can become of it."""
    if stored.requeued_ms is not None:
        return f"requeued {moment(stored.requeued_ms, 's')}"
    return "partial" if stored.letter.is_partial else "waiting"


def original_size(letter: DeadLetter) -> int:
    """Bytes of the original value."""
    return len(letter.value or b"") if letter.truncated_from is None else letter.truncated_from


def key_text(key: bytes | None) -> str:
    """A key as text, in hexadecimal with ``0x`` where it is none, or ``-``."""
    if key is None:
        return "-"
    text = as_text(key)
    return f"0x{key.hex()}" if text is None else text


def as_text(value: bytes) -> str | None:
    """The text that bytes are; None if they are none."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    # A few control characters occur in text; NUL and its like mean that it is something else.
    return None if any(character < "\t" for character in text) else text


def _value_facts(letter: DeadLetter) -> str:
    if letter.last_offset is not None:
        return f"that of a batch, of offsets {letter.offset} to {letter.last_offset}: not readable"
    if letter.value is None:
        return "none (a tombstone)"
    facts = f"{original_size(letter):,} bytes"
    if letter.truncated_from is not None:
        facts += f", of which the letter holds the first {len(letter.value):,}"
        facts += f"; SHA-256 of all {letter.sha256}"
    if letter.dropped:
        facts += f"; did not fit: {letter.dropped}"
    if letter.is_partial:
        facts += f"; all of it is at {letter.topic}/{letter.partition}/{letter.offset}, as long as"
        facts += " that topic keeps it"
    return facts


def _history_line(number: int, past: Mapping[str, str]) -> str:
    at = past.get("at", "")
    when = moment(int(at)) if at.isascii() and at.isdecimal() and len(at) < 20 else "-"
    place = "/".join(past.get(name, "-") for name in ("topic", "partition", "offset"))
    return f"rejection {number}  {when}  {place}  {past.get('reason', '-')}: {past.get('detail')}"


def _header_text(value: bytes | None) -> str:
    return _excerpt(key_text(value))


def _excerpt(text: str) -> str:
    text = safe_text(text)  # before it is cut: a part of a secret is not known for one
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def _text_before_a_cut(shown: bytes) -> str | None:
    """Text whose last character may be incomplete."""
    for cut in range(4):
        text = as_text(shown[: len(shown) - cut])
        if text is not None:
            return text
    return None


def _hex_lines(value: bytes) -> list[str]:
    value = without_secrets(value.decode("latin-1")).encode("latin-1")
    lines = []
    for start in range(0, len(value), _HEX_COLUMNS):
        row = value[start : start + _HEX_COLUMNS]
        plain = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * _HEX_COLUMNS - 1}}  {plain}")
    return lines


def _bytes_as_json(name: str, value: bytes | None) -> dict[str, str | None]:
    text = None if value is None else as_text(value)
    if value is not None and text is None:
        return {f"{name}_base64": base64.b64encode(value).decode()}
    return {name: text}


def say_foreign(letters: DeadLetterReader) -> None:
    """Say that records were passed over, if any were."""
    if letters.foreign:
        stdout.print(
            f"{letters.foreign:,} records of {letters.topic} are no dead letters, and passed over: "
            "is topics.dead_letters the right topic?"
        )


def say_requeued(report: RequeueReport, *, done: bool) -> None:
    """Say what was sent again, or would be."""
    verb = "requeued" if done else "would requeue"
    for topic, count in sorted(report.sent.items()):
        stdout.print(f"{verb} {count:,} dead letters to {topic}")
    for reason, count in sorted(report.reasons.items(), key=lambda item: -item[1]):
        stdout.print(f"  {count:,} {reason}")
    if not report.total:
        stdout.print("nothing to requeue" if not done else "nothing was requeued")
    if report.already:
        stdout.print(f"{report.already:,} were requeued before, and are passed over")
    if report.partial:
        stdout.print(
            f"{report.partial:,} hold only a part of their record and can't be requeued, such as "
            f"{report.partial_example}: send the original at that place"
        )
    if report.stopped:
        stdout.print("stopped; the same command goes on from here")
    elif report.total and not done:
        stdout.print("nothing was done: --yes does it")
