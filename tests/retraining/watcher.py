"""What can be seen of a controller and its job from outside."""

from pathlib import Path

import msgspec

from inference.control.commands import read_entry
from inference.packages.registry import RegisteredModel
from inference.shadow.shadow_book import SHADOW, ShadowCommand
from monitoring.retraining.state import DECODE_STATE, ControllerState, Job, Phase
from streams.kafka.records.control_topic import ControlFollower, ControlRecord
from tests.retraining.findings import Findings
from tests.retraining.plan import Point
from weir.config.settings import Settings
from weir.retraining.book import DECISION, STATUS
from weir.services.wiring import open_registry

_DECODE_JOB = msgspec.json.Decoder(Job).decode


class Watcher:
    """Follows the topics of one schedule from their beginning, each record of them.

    Attributes:
        found: what has been seen so far.
        state: what the controller wrote down last; `kept` what its table's topic has.
    """

    def __init__(self, settings: Settings, champion: str, episode: str) -> None:
        self.found = Findings(episode)
        self.state, self.kept = ControllerState(), ControllerState()
        self._champion = champion
        self._jobs = settings.data_dir / "jobs"
        self._registry = open_registry(settings)
        self._phases: set[Phase] = set()
        self._kept: set[Phase] = set()
        self._written: set[str] = set()
        hears = {
            settings.topics.retraining: self._hear_book,
            settings.topics.retraining_state: self._hear_table,
            settings.topics.control: self._hear_control,
        }
        self._followers = [
            ControlFollower(settings.kafka, topic, hear) for topic, hear in hears.items()
        ]

    def close(self) -> None:
        """Leave the cluster."""
        for each in self._followers:
            each.close()

    def look(self) -> None:
        """Read what has come since."""
        for each in self._followers:
            each.look()

    def reached(self, point: Point) -> bool:
        """Whether a point has been reached, now or earlier."""
        match point:
            case "starting":
                return True
            case "warn":
                return bool(self.state.waits_for)
            case "kept":
                return bool(self.found.decided)
            case "decided":
                return bool(self._written)
            case "begun" | "training":
                return bool(self.logs())
            case "running":
                return "running" in self._phases
            case "registering":
                return bool(self._models())
            case "registered":
                return any("registered" in each.read_text() for each in self.logs())
            case "shadow" | "cooldown":
                return point in self._kept
            case "named":
                return bool(self.found.named)

    def logs(self) -> list[Path]:
        """Of all attempts at all jobs."""
        return sorted(self._jobs.glob("*/attempt-*.log"))

    def specs(self) -> list[Path]:
        """Of all jobs that the runner was given."""
        return sorted(self._jobs.glob("*/spec.json"))

    def conclude(self) -> Findings:
        """What stands now."""
        self.look()
        found, models = self.found, self._models()
        found.folders = [each.parent.name for each in self.specs()]
        found.attempts = len(self.logs())
        found.models = sorted(each.package_id for each in models)
        found.aliases = [alias for each in models for alias in each.aliases]
        known = {key: self._registry.of_job(key) for key in found.decided}
        found.of_job = {key: each.package_id for key, each in known.items() if each is not None}
        return found

    def _models(self) -> list[RegisteredModel]:
        return [each for each in self._registry.versions() if each.package_id != self._champion]

    def _note(self, job: Job | None) -> None:
        if job is not None:
            self.found.decided[job.key] = job.cause.id
            self.found.expected[job.key] = job.candidate

    def _hear_book(self, record: ControlRecord) -> None:
        assert record.value is not None
        if record.key == STATUS:
            self.state = DECODE_STATE(record.value)
            self._phases.add(self.state.phase)
            self._note(self.state.job)
        elif record.key.startswith(DECISION):
            self._written.add(record.key)
            self._note(_DECODE_JOB(record.value))

    def _hear_table(self, record: ControlRecord) -> None:
        assert record.value is not None
        self.kept = DECODE_STATE(record.value)
        self._kept.add(self.kept.phase)
        self._note(self.kept.job)

    def _hear_control(self, record: ControlRecord) -> None:
        kind, _, name = record.key.partition("/")
        if kind == SHADOW:
            said = read_entry(ShadowCommand, record)
            if isinstance(said, ShadowCommand):
                self.found.named.append((name, said.model.package))
