"""The table of processes that run for good: adding one is a row here, and a file of its own.

Nothing of Kafka or of models is imported here: `weir --help` and `weir up` read it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceProcess:
    """A process that runs until it is told to stop.

    Attributes:
        name: of its command, such as `score` for `weir score`.
        port: of its HTTP port, where neither `--metrics-port` nor `metrics.port` names another.
        help: what it is for, in one line.
    """

    name: str
    port: int
    help: str


PROCESSES: tuple[ServiceProcess, ...] = (
    ServiceProcess("score", 9464, "Score events exactly once."),
    ServiceProcess("explainer", 9465, "Explain flagged decisions."),
    ServiceProcess("sink", 9466, "Store explanations for good."),
)


def process_named(name: str) -> ServiceProcess:
    """The process whose command has this name.

    Raises:
        KeyError: there is none.
    """
    return {process.name: process for process in PROCESSES}[name]
