"""What the topics say of one model: looks of the shadow, steps of the canary, promotions."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby

from pydantic import ValidationError

from inference.canary.gate_record import GateRecord
from inference.control.commands import (
    CHAMPION_KEY,
    ChampionCommand,
    CommandError,
    ModelVersion,
    read_command,
)
from inference.control.signatures import CommandKeys
from inference.control.standing import Standing
from inference.gates.findings import last_findings, read_records
from inference.gates.gates import Findings
from inference.gates.record import ComparisonRecord
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader, ControlRecord
from weir.dossier.found import CanaryFigures, Found


@dataclass(frozen=True)
class Look:
    """One comparison with a champion."""

    record: ComparisonRecord
    found: Found

    @property
    def pairing(self) -> tuple[str, str, str]:
        """Between whom, by which policy: evidence begins anew where one of them changes."""
        return self.record.name, self.record.champion, self.record.policy


@dataclass(frozen=True)
class Phase:
    """Looks of a canary's keeper that follow each other and say the same.

    Attributes:
        record: the last one.
        first_at: when the first one was, UTC milliseconds.
        looks: how many records there are of it.
    """

    record: GateRecord
    figures: CanaryFigures
    first_at: int
    looks: int


@dataclass(frozen=True)
class Promotion:
    """A command that made the model champion, and stood.

    Attributes:
        former: the champion before; None where none is known.
        rollback: it came back, since the one after it was taken back.
    """

    command: ChampionCommand
    former: ModelVersion | None
    rollback: bool


@dataclass(frozen=True)
class History:
    """What stands on the topic of comparisons; in the order of its records.

    Attributes:
        looks: those at which the candidate's name stood for this model.
        unreadable: records of the model whose figures can't be read.
        records: all that can be read.
    """

    looks: tuple[Look, ...] = ()
    phases: tuple[Phase, ...] = ()
    unreadable: int = 0
    records: tuple[ComparisonRecord | GateRecord, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, records: Iterable[ComparisonRecord | GateRecord]) -> "History":
        """Sort records of one model."""
        looks, steps, kept, unreadable = [], [], [], 0
        for record in records:
            try:
                if isinstance(record, GateRecord):
                    steps.append((record, CanaryFigures.model_validate(record.evidence)))
                else:
                    look = Look(record, Found.model_validate(record.found))
                    looks += [look] if record.is_of_its_model else []
                kept.append(record)
            except ValidationError:
                unreadable += 1
        return cls(tuple(looks), tuple(_phases(steps)), unreadable, tuple(kept))

    def findings(self, until_ms: int) -> Findings:
        """What was known at a moment; by this the gates were decided."""
        return last_findings(record for record in self.records if record.at <= until_ms)

    def is_beside(self, champion: str, since_ms: int) -> bool:
        """Whether anything was found of it beside this champion, after a moment."""
        return any(
            look.record.at > since_ms and look.record.champion == champion[:12]
            for look in self.looks
        ) or any(
            phase.record.at > since_ms and phase.record.champion == champion
            for phase in self.phases
        )


def read_history(kafka: KafkaSettings, topic: str, package: str) -> History:
    """What was found of a package; nothing where there is no such topic yet.

    Raises:
        KafkaException: the cluster failed.
    """
    return History.of(read_records(kafka, topic, package))


def read_promotions(kafka: KafkaSettings, keys: CommandKeys, package: str) -> tuple[Promotion, ...]:
    """The commands of the control topic that made a package champion, as far as they are kept.

    Raises:
        ValueError: there is no control topic.
        KafkaException: the cluster failed.
    """
    standing, found = Standing(keys), dict[int, Promotion]()

    def hear(record: ControlRecord) -> bool:
        if record.key == CHAMPION_KEY and standing.counts(record):
            promotion = _promotion(record, package)
            if promotion is not None:
                found[promotion.command.at] = promotion  # what stands may be written once more
        return False

    with closing(ControlReader(kafka, keys.topic)) as reader:
        reader.read_to_end(hear)
    return tuple(found.values())


def _promotion(record: ControlRecord, package: str) -> Promotion | None:
    try:
        command = read_command(ChampionCommand, record)
    except CommandError:
        return None
    if command is None or command.model.package != package:
        return None
    former = command.before[-1] if command.before else None
    expects = command.expects
    return Promotion(command, former, isinstance(expects, ModelVersion) and expects != former)


def _phases(steps: list[tuple[GateRecord, CanaryFigures]]) -> Iterable[Phase]:
    for _, each in groupby(steps, key=lambda step: _same(step[0])):
        group = list(each)
        record, figures = group[-1]
        yield Phase(record, figures, group[0][0].at, len(group))


def _same(record: GateRecord) -> tuple[object, ...]:
    return record.experiment, record.champion, record.arms, record.state, record.deed
