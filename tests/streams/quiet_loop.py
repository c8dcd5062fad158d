"""The loop of a staged worker that tells nobody what becomes of its work."""

from collections.abc import Callable, Sequence
from typing import Any

from streams.kafka.client import KafkaSettings
from streams.loop.settings import LoopSettings
from streams.stages.worker.loop import StagedLoop


def staged_loop(
    kafka: KafkaSettings,
    loop: LoopSettings,
    topics: Sequence[str],
    new_task: Callable[[str, int], Any],
    **more: Any,
) -> StagedLoop:
    """A loop over the partitions of topics; `more` is what a test wants to hear of it after all."""
    silent: dict[str, Any] = {
        "committed": lambda committed: None,
        "aborted": lambda reason: None,
        "observe": lambda states: None,
        "claim": lambda stop: None,
        "dead_letters": "",
    }
    return StagedLoop(kafka, loop, topics=topics, new_task=new_task, **(silent | more))
