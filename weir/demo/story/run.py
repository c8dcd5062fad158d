"""`weir demo --story`: a broker, a world, and a story told line by line."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import Any

from streams.kafka.client import KafkaSettings
from weir.demo.folder import prepare_folder
from weir.demo.run import DemoOptions, running_broker
from weir.demo.stage import Stage
from weir.demo.story import drift, loop, shadow
from weir.demo.story.drift_world import write_drift_plot
from weir.demo.story.loop_world import write_loop_plot
from weir.demo.story.simulated import write_plot


def run_story(name: str, options: DemoOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Tell a story; leaves no process behind, whatever happens.

    Args:
        name: ``shadow``, of a candidate; ``drift``; or ``loop``, of a model that is trained anew.
        say: told each line as it happens.

    Returns:
        The lines, and whether it ended as it has to.

    Raises:
        SettingsError: the folder is not the demo's; nothing was started.
        DemoError, BrokerError: as their names say.
    """
    folder = options.folder.absolute()
    config, settings = prepare_folder(folder, None)
    begun, lines = monotonic(), list[str]()

    def told(line: str) -> None:
        options.check()
        lines.append(f"{monotonic() - begun:5.0f} s  {line}")
        say(lines[-1])

    told("simulating card transactions")
    tell: Callable[[Stage], bool]
    if name == "drift":
        tell = partial(drift.tell, plot=write_drift_plot(folder, config), told=told)
    elif name == "loop":
        tell = partial(_tell_loop, plot=write_loop_plot(folder, config), told=told)
    else:
        tell = partial(shadow.tell, plot=write_plot(folder, config), told=told)
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(settings, options))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        topic = settings.topics.comparisons
        stage = stack.enter_context(Stage(folder, config, kafka, topic, options.stopped))
        told("Apache Kafka runs")
        met = tell(stage)
    return {"story": name, "met": met, "lines": lines}


def _tell_loop(stage: Stage, plot: loop.LoopPlot, told: Callable[[str], None]) -> bool:
    return loop.tell(stage, plot, told).as_it_has_to
