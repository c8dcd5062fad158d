"""A console on which no text can do anything but be read, whoever wrote it."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.protocol import rich_cast
from rich.segment import Segment
from rich.text import Text

from streams.base.safe_text import safe_text


class SafeConsole(Console):
    """Prints every text without secrets, and with its control characters shown.

    A line end in a text is one of those, since it may stand in a name: several lines are several
    calls of `print`. Nothing in a text is markup or an emoji.

    Args:
        stderr: it writes to stderr.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts or what rich draws; of a text no line is broken where nobody sees its end."""
        if not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def rule(self, title: str | Text = "", **options: Any) -> None:
        """Draw a line with a title in it."""
        super().rule(_safe(title) if isinstance(title, Text) else title, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text, from a string: all of them pass here, those in tables, too."""
        return super().render_str(safe_text(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of something; all texts with styles of their own pass here."""
        renderable = rich_cast(renderable)
        return super().render(
            _safe(renderable) if isinstance(renderable, Text) else renderable, options
        )


def _safe(text: Text) -> Text:
    """The text, its styles where they were; where a part has to change, as many as still fit."""
    plain = safe_text(text.plain)
    if plain == text.plain:
        return text
    safe = text.blank_copy()
    for part in text.divide(sorted({end for span in text.spans for end in span[:2]})):
        safe.append_text(_with_plain(part, safe_text(part.plain)))
    return safe if safe.plain == plain else _with_plain(text, plain)


def _with_plain(text: Text, plain: str) -> Text:
    changed = text.blank_copy(plain)
    for span in text.spans:
        if span.start == 0 and span.end == len(text.plain):
            changed.stylize(span.style)
    return changed
