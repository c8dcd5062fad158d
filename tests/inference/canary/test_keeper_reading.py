"""A keeper that has days to read, of events that never stop, looks and acts meanwhile."""

from collections.abc import Callable
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from canary_traffic import arms_of, command, report, table

from inference.canary.keeper import Judgement, Keeper
from inference.canary.settings import CanarySettings
from inference.control.commands import Withdrawal


class Endless:
    """A feature log that has more whenever it is asked."""

    caught_up = False

    def __init__(self) -> None:
        keys = list(range(100))
        self.table = table(keys, arms_of(keys), [0] * 100)

    def read(self, timeout_s: float, take: Callable[[int, pa.Table], None]) -> int:
        sleep(0.01)
        take(0, self.table)
        return 1

    def close(self) -> None:
        pass


def test_it_looks_though_there_is_always_more_and_steps_when_it_has_read_all() -> None:
    given: list[Any] = []
    board = SimpleNamespace(said=command(), champion=None, reports={}, look=lambda timeout_s: None)
    board.give = given.append
    log = Endless()
    keeper = Keeper(
        CanarySettings(hold="0s", min_events=1),
        board=board,  # type: ignore[arg-type]
        follow=lambda since: log,  # type: ignore[arg-type, return-value]
        by="keeper",
        tell=lambda *_: None,
    )
    start = monotonic()
    assert keeper.look(0.0) == Judgement("wait", "what is there of this step is still being read")
    assert monotonic() - start < 10
    assert given == []
    log.caught_up = True
    judgement = keeper.look(0.0)
    assert judgement is not None
    assert judgement.deed == "step"
    log.caught_up = False
    board.reports = {"scorer-1": report(state="stopped")}
    keeper.look(0.0)
    assert isinstance(given[-1], Withdrawal), "harm needs no more evidence"
