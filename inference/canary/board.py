"""What stands of arms on the control topic, how they fare, and commands about them."""

from contextlib import ExitStack, closing
from typing import Self, TypeVar

from inference.control.arm_reports import ArmsReport, arms_worker
from inference.control.canary import CANARY, CanaryBook, CanaryCommand
from inference.control.commands import (
    CHAMPION_KEY,
    ChampionCommand,
    CommandError,
    RefusedCommandError,
    Withdrawal,
    encode,
    read_command,
)
from inference.control.signatures import CommandKeys
from inference.control.standing import Standing
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader, ControlRecord
from streams.transactions.control_writer import ControlWriter
from streams.transactions.errors import FencedError

Said = TypeVar("Said", CanaryCommand, Withdrawal)


class MeanwhileError(RefusedCommandError):
    """Somebody else has said something of the arms since this board looked."""


class CanaryBoard:
    """Reads what stands and what scorers report, and gives commands. A context manager.

    Args:
        keys: of the control topic: whose commands count, and what signs ours.
        reports: the topic on which scorers say how arms fare.

    Attributes:
        champion: what a command names; None where none does.

    Raises:
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """

    champion: ChampionCommand | None = None

    def __init__(self, kafka: KafkaSettings, keys: CommandKeys, reports: str) -> None:
        self._kafka, self._keys = kafka, keys
        self._book = CanaryBook(keys)
        self._standing = Standing(keys)
        self._reported: dict[str, ArmsReport] = {}
        with ExitStack() as opened:
            self._control = opened.enter_context(closing(ControlReader(kafka, keys.topic)))
            self._reports = opened.enter_context(closing(ControlReader(kafka, reports)))
            self._control.read_to_end(self._hear_command)
            for record in self._reports.read_to_end().values():
                self._hear(record)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def said(self) -> CanaryCommand | None:
        """What stands; None where there are no arms."""
        return self._book.said

    @property
    def ended(self) -> Withdrawal | None:
        """How the last experiment ended, where none runs."""
        return self._book.ended

    @property
    def reports(self) -> dict[str, ArmsReport]:
        """What scorers said last of the experiment that runs, by scorer."""
        said = self.said
        experiment = None if said is None else said.experiment
        return {
            worker: report
            for worker, report in sorted(self._reported.items())
            if report.experiment == experiment
        }

    def look(self, timeout_s: float) -> None:
        """Read what has come since; waits for reports for so long."""
        for record in self._control.read(0.0):
            self._hear_command(record)
        for record in self._reports.read(timeout_s):
            self._hear(record)

    def give(self, said: Said) -> Said:
        """Give a command in place of what this board shows; what stands then.

        Only if nobody else has said anything of the arms since the board looked.

        Raises:
            MeanwhileError: somebody has, or does at the same moment.
            PublishError: the cluster did not take it, or did not say whether it did.
            KafkaException: the cluster failed, or does not let us.
        """
        shown = self._book.since
        with ControlWriter(self._kafka, self._keys.topic) as writer:
            book = CanaryBook(self._keys)
            with closing(ControlReader(self._kafka, self._keys.topic)) as reader:
                reader.read_to_end(book.hear)
            if book.since != shown:
                self._book = book
                raise MeanwhileError(
                    "refused: somebody else has changed the canary meanwhile; look at `weir canary "
                    "status` and give the command again"
                )
            # Later than what stands, whatever the clocks say: an earlier one would not count.
            given = said.model_copy(update={"at": max(said.at, book.since + 1)})
            value = encode(given)
            try:
                writer.write(CANARY, value, self._keys.headers(CANARY, value))
            except FencedError as error:
                raise MeanwhileError(
                    "refused: somebody else is giving a command at the same time; look at `weir "
                    "canary status` and give yours again"
                ) from error
        self._book = book
        self._book.stand(given)
        return given

    def _hear_command(self, record: ControlRecord) -> bool:
        if record.key == CHAMPION_KEY and self._standing.counts(record):
            try:
                self.champion = read_command(ChampionCommand, record)
            except CommandError:
                return False
        return self._book.hear(record)

    def _hear(self, record: ControlRecord) -> None:
        worker = arms_worker(record.key)
        if worker is None:
            return
        self._reported.pop(worker, None)
        try:
            said = read_command(ArmsReport, record)
        except CommandError:
            return  # a scorer that says nonsense says nothing
        if said is not None:
            self._reported[worker] = said
