"""The table of processes that run for good: adding one is a row here, and a command of its name.

Nothing of Kafka or of models is imported here: `weir --help` and `weir up` read it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceProcess:
    """A process that runs until it is told to stop.

    Attributes:
        name: of its command, such as `score` for `weir score`; a file in `weir.commands.services`.
        port: of its HTTP port, where neither `--metrics-port` nor `metrics.port` names another.
        help: the first line of the command's help.
    """

    name: str
    port: int
    help: str

    @property
    def target(self) -> str:
        """Where its command is; see `weir.cli.lazy_commands.LazyGroup`."""
        return f"weir.commands.services.{self.name}:{self.name}"


PROCESSES: tuple[ServiceProcess, ...] = (
    ServiceProcess("score", 9464, "Score events exactly once, until SIGTERM or Ctrl-C."),
    ServiceProcess("explainer", 9465, "Explain flagged decisions, until SIGTERM or Ctrl-C."),
    ServiceProcess("sink", 9466, "Store explanations for good, until SIGTERM or Ctrl-C."),
    ServiceProcess("shadow", 9467, "Try candidates on live traffic, until SIGTERM or Ctrl-C."),
    ServiceProcess("canary", 9468, "Let models answer for a share of the keys, until SIGTERM."),
    ServiceProcess("judge", 9469, "Compare candidates now and then, and write it down."),
    ServiceProcess("monitor", 9470, "Watch the stream for drift, until SIGTERM or Ctrl-C."),
    ServiceProcess(
        "archive",
        9471,
        "Keep what was scored and what it turned out to be, until SIGTERM or Ctrl-C.",
    ),
    ServiceProcess("controller", 9472, "Have models trained anew, until SIGTERM or Ctrl-C."),
)


def process_named(name: str) -> ServiceProcess:
    """The process whose command has this name.

    Raises:
        KeyError: there is none.
    """
    return {process.name: process for process in PROCESSES}[name]
