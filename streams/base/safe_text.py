"""The one filter for what others choose: text that can't drive a terminal or forge a line of a log.

Names of models, topics and fields, event ids, notes, headers: anybody may have put anything there.
"""

import json
import re
import unicodedata
from typing import Any

from streams.base.masking import without_secrets

_IGNORED = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
    r"\U000e0100-\U000e01ef"
)
"""What is drawn as nothing, and counts as a letter or as a mark."""
_PLAIN = re.compile(r"[ -~]*")
_INVISIBLE = re.compile(f"[{_IGNORED}]")


def visible(text: str) -> str:
    r"""A text with its control characters shown, and all others that are drawn as nothing.

    Among them are line ends, ESC, what turns the direction of writing, and halves of characters.

    >>> print(visible("a\x1b[2J\u202eb\nc"))
    a\x1b[2J\u202eb\nc
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(each if _is_harmless(each) else _shown(each) for each in text)


def safe_text(text: str) -> str:
    """A text as it may be shown on one line: without secrets, and `visible`."""
    return visible(without_secrets(text))


def safe_lines(text: str) -> str:
    """A text of ours that has several lines, such as a traceback, as it may be shown.

    All but the first are set in, so that none can pass for a message of its own.
    """
    return "\n  ".join(map(visible, without_secrets(text).rstrip("\n").split("\n")))


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON in which no character can drive a terminal, and without secrets."""
    text = json.dumps(_without_secrets(value), indent=indent, default=_said)
    return text.replace("\x7f", "\\u007f")  # of ASCII, the only one that JSON leaves as it is


def _said(value: Any) -> str:
    return without_secrets(str(value))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {_without_secrets(key): _without_secrets(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(each) for each in value]
    return value


def _is_harmless(character: str) -> bool:
    if character.isprintable():
        return not _INVISIBLE.match(character)
    # Python calls every blank but the plain one unprintable.
    return character == "\t" or unicodedata.category(character) == "Zs"


def _shown(character: str) -> str:
    if character == "\n":
        return "\\n"
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
