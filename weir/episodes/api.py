"""Episodes over HTTP: what is known of them, and what somebody says of one."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, get_args

import msgspec

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import Episode
from streams.base.clock import now_ms
from streams.base.safe_text import json_text
from streams.base.section import parse_duration
from streams.kafka.records.publisher import PublishError
from weir.cli.login import LONGEST_BY, LONGEST_NOTE
from weir.episodes.acts import Deed
from weir.episodes.book import EpisodeBook
from weir.episodes.page import episode_html
from weir.services.http.routes import Answer, Page, Paths, Request

_ALL = "/drift/episodes"
_ONE = f"{_ALL}/{{id}}"
_MOST, _USUAL = 1_000, 100
"""Episodes in an answer."""


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an act; `length` is called ``for`` there."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_BY)]
    note: Annotated[str, msgspec.Meta(max_length=LONGEST_NOTE)] = ""
    length: str | None = msgspec.field(default=None, name="for")


_DECODE = msgspec.json.Decoder(_Said).decode


class _RefusedError(Exception):
    """What is asked for can't be: with which status, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class EpisodeApi:
    """Answers for one process.

    Args:
        say: hands an act to the monitor; raises PublishError where the cluster does not take it.
    """

    def __init__(self, book: EpisodeBook, say: Callable[[EpisodeAct], None]) -> None:
        self._book = book
        self._say = say

    def add_to(self, paths: Paths) -> None:
        """Let a port answer."""
        paths.pages[_ALL] = _refusing(self._list)
        paths.pages[_ONE] = _refusing(lambda request: _json(HTTPStatus.OK, self._found(request)))
        paths.pages[f"{_ONE}/page"] = _refusing(self._page)
        for deed in get_args(Deed):
            paths.acts[f"{_ONE}/{deed}"] = _refusing(self._act(deed))

    def _list(self, request: Request) -> Answer:
        self._check_read()
        state, limit = request.query.get("state"), request.query.get("limit", str(_USUAL))
        if state not in (None, "open", "closed"):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "state is open or closed")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= _MOST):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"limit is a number from 1 to {_MOST:,}")
        return _json(HTTPStatus.OK, [_short(each) for each in self._book.newest(state, int(limit))])

    def _page(self, request: Request) -> Answer:
        return Answer(HTTPStatus.OK, "text/html; charset=utf-8", episode_html(self._found(request)))

    def _act(self, deed: Deed) -> Page:
        def act(request: Request) -> Answer:
            episode = self._found(request)
            said, length = _read(request.body, deed)
            if episode.state == "closed":
                raise _RefusedError(HTTPStatus.CONFLICT, f"episode {episode.id} is over")
            at = now_ms()
            until = None if length is None else at + length
            given = EpisodeAct(episode.id, deed, said.by, said.note, at, until)
            try:
                self._say(given)
            except PublishError as error:
                raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
            return _json(HTTPStatus.ACCEPTED, given)

        return act

    def _found(self, request: Request) -> Episode:
        self._check_read()
        found = self._book.find(request.named["id"])
        if found is None:
            why = f"no episode has this id; {_ALL} lists them"
            raise _RefusedError(HTTPStatus.NOT_FOUND, why)
        return found

    def _check_read(self) -> None:
        if not self._book.is_read:
            why = "the episodes are being read: ask again in a moment"
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, why)


def _refusing(page: Page) -> Page:
    """A page, where it refuses in JSON."""

    def answer(request: Request) -> Answer:
        try:
            return page(request)
        except _RefusedError as refused:
            return _json(refused.status, {"error": str(refused)})

    return answer


def _read(body: bytes, deed: Deed) -> tuple[_Said, int | None]:
    """What is said, and for how long, ms."""
    try:
        said = _DECODE(body)
        if not said.by.strip():
            raise ValueError("by is blank: say who you are")
        if (deed == "snooze") != (said.length is not None):
            raise ValueError('snooze takes "for", such as "4h", and the others do not')
        return said, None if said.length is None else parse_duration(said.length)
    except ValueError as error:
        why = f'send JSON such as {{"by": "ada", "note": "asked the gateway\'s team"}}: {error}'
        raise _RefusedError(HTTPStatus.BAD_REQUEST, why) from error


def _short(episode: Episode) -> Episode:
    """An episode without histograms."""
    features = [msgspec.structs.replace(each, histogram=None) for each in episode.features]
    return msgspec.structs.replace(episode, features=features)


def _json(status: HTTPStatus, value: object) -> Answer:
    text = json_text(msgspec.to_builtins(value)) + "\n"
    return Answer(status, "application/json", text.encode())
