"""What a page is made of, before it is HTML or PDF; all texts are plain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from explain.reports.analyst_sheet import Fact
from streams.base.safe_text import safe_text

_LONGEST, _LONGEST_CELL = 2_000, 600
"""Characters: a row of a table has to fit on a page, whatever somebody wrote."""

_SHORT = 15
"""Rows."""

Tone = Literal["", "good", "unsure", "bad"]
Role = Literal["better", "no worse", "worse", "bound", "former"]


class Cell(NamedTuple):
    """A text in a table, and how it looks."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Line:
    """A paragraph; one that says what is missing is `small`."""

    text: str
    small: bool = False


@dataclass(frozen=True)
class Facts:
    """Names on the left, what they are on the right."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Table:
    """Rows under heads.

    Attributes:
        widths: of the columns, as shares of the page's width; their sum is 1.
        numbers: the columns that are aligned on the right.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[float, ...]
    numbers: frozenset[int] = frozenset()

    @property
    def is_short(self) -> bool:
        """Whether it need not be broken over two pages."""
        return len(self.rows) <= _SHORT


class Point(NamedTuple):
    """Of a line in a plot."""

    x: float
    y: float


@dataclass(frozen=True)
class PlotLine:
    """One line.

    Attributes:
        label: in the legend; a line without one is not in it.
        role: by which it has its colour and stroke.
    """

    label: str
    points: tuple[Point, ...]
    role: Role


@dataclass(frozen=True)
class Plot:
    """Lines over axes of numbers.

    Attributes:
        about: what it shows, for who can't see it.
    """

    about: str
    x_name: str
    y_name: str
    lines: tuple[PlotLine, ...]


@dataclass(frozen=True)
class Cells:
    """How many events have one score here and another one there, both by equally wide bins.

    Attributes:
        about: as of a `Plot`.
        edges: the lowest logit of each bin, and the highest one of the last, (bins + 1,).
        counts: events by the bins of x and of y.
    """

    about: str
    x_name: str
    y_name: str
    edges: tuple[float, ...]
    counts: dict[tuple[int, int], int]


class Bar(NamedTuple):
    """One bar: its label, its length, and what stands behind it."""

    label: str
    value: float
    note: str
    tone: Tone = ""


@dataclass(frozen=True)
class Bars:
    """Bars below each other, of one scale.

    Attributes:
        about: as of a `Plot`.
        y_name: what they show.
    """

    about: str
    y_name: str
    bars: tuple[Bar, ...]


class Pair(NamedTuple):
    """Two bars below each other: their label, lengths, and what stands behind them."""

    label: str
    first: float
    second: float
    note: str


@dataclass(frozen=True)
class Pairs:
    """Pairs of bars below each other, all of one scale.

    Attributes:
        about: as of a `Plot`.
        y_name: what they show.
        names: what the first of each pair is, and the second, for the legend.
    """

    about: str
    y_name: str
    names: tuple[str, str]
    pairs: tuple[Pair, ...]


Drawn = Plot | Cells | Bars | Pairs
Block = Line | Facts | Table | Drawn


@dataclass(frozen=True)
class Section:
    """A heading, a note beside it, and what stands below."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A whole dossier.

    Attributes:
        under: what stands under the title.
        status: how the model stands, in a few words.
    """

    title: str
    under: str
    status: Cell
    sections: tuple[Section, ...]


def shown(text: str, longest: int = _LONGEST) -> str:
    """A text as it may stand on a page: visible, without secrets, and not endless."""
    text = safe_text(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shown_cell(cell: Cell) -> str:
    """The same in a table."""
    return shown(cell.text, _LONGEST_CELL)


def facts(*pairs: tuple[str, str]) -> Facts:
    """Facts of their names and texts; those without a text are left out."""
    return Facts(tuple(Fact(name, text) for name, text in pairs if text))


def row(*texts: str | Cell) -> tuple[Cell, ...]:
    """A row of a table."""
    return tuple(each if isinstance(each, Cell) else Cell(each) for each in texts)


def count(value: float | None) -> str:
    """A whole number, with its thousands."""
    return "–" if value is None else f"{value:,.0f}"


def figure(value: float | None, digits: int = 4, *, signed: bool = False) -> str:
    """A number with so many decimals."""
    if value is None:
        return "–"
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def interval(ends: Sequence[float | None] | None, digits: int = 4) -> str:
    """Of a difference, from its low end to its high one."""
    if ends is None:
        return "too little yet"
    return " to ".join(figure(end, digits, signed=True) for end in ends)


def share(value: float | None, digits: int = 2) -> str:
    """A part of all, in percent."""
    return "–" if value is None else f"{value:.{digits}%}"
