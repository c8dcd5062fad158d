"""What a port answers: pages by their paths."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple


class Request(NamedTuple):
    """What a page may look at.

    Attributes:
        query: the last value of each key.
        accept: what kinds of answer are wanted.
        named: the parts of the path that the page's has names for.
        body: what was sent; empty of what only asks.
    """

    query: Mapping[str, str]
    accept: str
    named: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    """What a page says."""

    status: HTTPStatus
    content_type: str
    body: bytes


Page = Callable[[Request], Answer]


class Paths(NamedTuple):
    """What a port answers, by path; see `page_at`. More may be added while it does.

    Attributes:
        pages: what is asked for.
        acts: what is POSTed to, by whoever brings the door's token.
    """

    pages: dict[str, Page]
    acts: dict[str, Page]


def page_at(pages: Mapping[str, Page], path: str) -> tuple[Page, dict[str, str]] | None:
    """The page at a path, and what stands there in place of names; None where there is none.

    Args:
        pages: by path. ``{name}`` in one stands for any part without a slash, as it was sent:
            nothing in a request's path is decoded.
    """
    parts = path.split("/")
    for each, page in list(pages.items()):
        wanted = each.split("/")
        if len(wanted) != len(parts):
            continue
        pairs = list(zip(wanted, parts, strict=True))
        if all(want == part or (want.startswith("{") and part) for want, part in pairs):
            return page, {want[1:-1]: part for want, part in pairs if want.startswith("{")}
    return None
