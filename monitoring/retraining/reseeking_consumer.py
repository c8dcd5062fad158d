"""A consumer of Faust that reads again what Faust itself loses at the end of a recovery.

While a table is read back, Faust fetches records of the sources, too, and then clears its queues:
what it had fetched by then is never handled, and where no offset was committed it isn't sought
either (https://github.com/faust-streaming/faust/issues/596). Here nothing of a source is handed on
before the rebalance is over, and then each source is read from its committed offset, or from its
beginning where there is none.
"""

import logging
from collections.abc import AsyncIterator
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

logger = logging.getLogger(__name__)


class ReseekingConsumer(Consumer):
    """Seeks by itself, in the task that hands records on: so none is in hand meanwhile."""

    _unsought = True
    """Whether the flow was stopped and the sources are not sought since."""

    def stop_flow(self) -> None:
        """See `Consumer`; what comes after is read from the committed offsets."""
        self._unsought = True
        super().stop_flow()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """See `Consumer`: without the sources' records until these are sought."""
        if self._unsought and self.flow_active and not self.app.rebalancing:
            try:
                self._unsought = not await self._seek_sources()
            except IllegalStateError:
                logger.info("the sources were taken away while they were sought: a rebalance")
        async for place, message in super().getmany(timeout):
            if not self._unsought or self._is_changelog_tp(place):
                yield place, message

    async def _seek_sources(self) -> bool:
        """Whether there are any."""
        sources = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        if not sources:
            return False
        places = await self.earliest_offsets(*sources)
        committed = await self.seek_to_committed()
        offsets = {tp: max(committed.get(tp) or 0, places[tp] or 0) for tp in sources}
        await self.seek_wait(offsets)
        for tp in sources:
            self._committed_offset[tp] = committed.get(tp)
        return True
