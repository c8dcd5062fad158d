"""Route: one partition of labels, to every place that may need them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from streams.events.json_decoder import Decoder
from streams.events.labels import label_contract, read_progress
from streams.intake.position import NO_TIME
from streams.kafka.message import Message, headers_of
from streams.kafka.partition import PartitionId
from streams.stages.common.feature_version import Version
from streams.stages.common.messages import LabelRow, SourceProgress, encode_labels
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan
from streams.stages.common.step import Step
from streams.stages.route.routing import (
    CountRouted,
    Progress,
    Router,
    count_nothing,
    offset_of,
    outgoing_of,
)
from streams.transactions.outcome import Outgoing


class LabelRouter(Router):
    """Routes one partition of the labels: to every place of every entity that reads labels."""

    def __init__(
        self,
        plan: StagedPlan,
        topics: StageTopics,
        partition: int,
        targets: dict[str, int],
        dead_letters: str,
        now_ms: Callable[[], int],
        count: CountRouted = count_nothing,
    ) -> None:
        places = [
            (topics.by_entity(part.entity), target)
            for part in plan.parts
            if part.plan.reads_labels
            for target in range(targets[part.entity])
        ]
        version = Version.of(plan, topics, targets)
        contract = plan.whole.contract
        super().__init__(contract, partition, places, dead_letters, now_ms, count, version)
        self._decoder = Decoder(label_contract(self._contract))

    def route(self, messages: Sequence[Message], end: int | None = None) -> Step | None:
        """Route what was read; see `EventRouter.route`."""
        self._remember()
        arrived = self._stamps(messages)
        offsets = np.array([offset_of(message) for message in messages], np.int64)
        marks = np.array(
            [
                _progress(message, stamp + self._contract.max_future)
                for message, stamp in zip(messages, arrived.tolist(), strict=True)
            ],
            np.int64,
        )
        # A label behind the word that all up to some time were sent queues later than that.
        floors = np.maximum.accumulate(np.where(marks == NO_TIME, NO_TIME, marks + 1))
        places = np.flatnonzero(marks == NO_TIME)
        decoded = self._decoder.decode(
            [messages[i].value() for i in places.tolist()], arrived[places]
        )
        bad = [replace(each, position=int(places[each.position])) for each in decoded.rejected]
        kept = places[decoded.positions]
        merge_times = self._merge_times(decoded.events.times, floors[kept])
        reached = [self._progress.reached, *merge_times[-1:].tolist(), *floors[-1:].tolist()]
        self._progress = Progress(max(reached))
        labels = list(
            map(
                LabelRow,
                offsets[kept].tolist(),
                merge_times.tolist(),
                decoded.events.ids,
                decoded.events.values("label"),
            )
        )

        def rows(mark: SourceProgress, due: Callable[[PartitionId], bool]) -> list[Outgoing]:
            records: dict[str, list[tuple[int, list[bytes]]]] = {}
            encoded = encode_labels(labels, mark)
            for topic, target in self._targets:
                if labels or due((topic, target)):
                    records.setdefault(topic, []).append((target, encoded))
            return [outgoing_of(topic, each) for topic, each in records.items()]

        new = sum(label.offset >= self._judged_to for label in labels)
        return self._step(messages, end, bad, rows, new)


def _progress(message: Message, latest: int) -> int:
    if message.value() is None:
        time = read_progress(headers_of(message))
        if time is not None:
            return min(time, latest)
    return NO_TIME
