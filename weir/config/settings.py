"""All settings: the sections that the rooms own, from ``weir.toml`` and the environment."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError as UnreadableVariableError

from explain.lime.settings import ExplainSettings
from explain.record.reason_settings import ReasonSettings
from explain.reports.customer_letter_settings import CustomerLetterSettings
from explain.store.settings import StoreSettings
from inference.approve_through.settings import ApproveThroughSettings
from inference.canary.settings import CanarySettings
from inference.engine.settings import EngineSettings
from inference.gates.settings import GateSettings
from inference.packages.registry import RegistrySettings
from inference.policy.floor import PolicyFloor
from inference.policy.policy import PolicySettings
from inference.shadow.comparison.settings import ComparisonSettings
from inference.shadow.comparison.terms import Terms
from inference.shadow.settings import ShadowSettings
from inference.training.settings import PrequentialSettings, TrainingSettings
from inference.weak_labels.settings import ReviewSettings
from monitoring.alerts.settings import AlertSettings
from monitoring.archive.settings import ArchiveSettings
from monitoring.performance.settings import PerformanceSettings
from monitoring.retraining.settings import RetrainingSettings
from monitoring.settings import MonitorSettings
from streams.base import compiled_code
from streams.base.masking import without_secrets
from streams.base.safe_text import safe_text
from streams.base.secret_fields import is_secret
from streams.base.section import Section, format_duration
from streams.base.signing_settings import SigningSettings
from streams.events.contract import EventContract
from streams.events.label_rules import check_rules
from streams.events.labels import LabelSettings
from streams.events.record_headers import check_names
from streams.feature_log import FeatureLogSettings
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.plan import check_label_delays
from streams.features.window_settings import WindowSettings
from streams.formats import SchemaRegistrySettings
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings
from streams.kafka.topics.weir_topics import ROLES, TopicSettings
from streams.loop.settings import LoopSettings
from streams.snapshots import SnapshotSettings
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan, split_plan
from streams.stages.worker.stage_topics import stage_topic_names
from streams.tracing.headers import TRACE_FIELDS
from streams.tracing.settings import TracingSettings
from weir.broker import BrokerSettings
from weir.config import logs
from weir.config.errors import SettingsError
from weir.config.log_settings import LogSettings
from weir.config.metrics_settings import MetricsSettings
from weir.simulator import SimulatorSettings
from weir.spark.settings import SparkSettings

ENV_PREFIX = "WEIR_"
CONFIG_VARIABLE = "WEIR_CONFIG"
DEFAULT_FILE = Path("weir.toml")
EXAMPLE_FILE = Path(__file__).with_name("example.toml")
"""The settings of the demo: simulated card transactions."""


class EvaluationSettings(Section):
    """The ``[evaluation]`` section: how many cards and events the reviewers can look at a day."""

    cards_per_day: int = Field(default=100, ge=1)
    events_per_day: int = Field(default=100, ge=1)


class Settings(BaseSettings):
    """What ``weir.toml`` may hold, and the environment (``WEIR_KAFKA__SASL_PASSWORD``)."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # it may hold secrets
    )

    data_dir: Path = Path("var")
    event: EventContract
    features: list[FeatureDeclaration] = Field(min_length=1)
    labels: LabelSettings = LabelSettings()
    windows: WindowSettings = WindowSettings()
    alignment: AlignmentSettings = AlignmentSettings()
    kafka: KafkaSettings = KafkaSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    topics: TopicSettings = TopicSettings()
    loop: LoopSettings = LoopSettings()
    stages: StageTopics = StageTopics()
    snapshots: SnapshotSettings = SnapshotSettings()
    feature_log: FeatureLogSettings = FeatureLogSettings()
    engine: EngineSettings = EngineSettings()
    policy: PolicySettings = PolicySettings()
    policy_floor: PolicyFloor = PolicyFloor()
    signing: SigningSettings = SigningSettings()
    training: TrainingSettings = TrainingSettings()
    registry: RegistrySettings = RegistrySettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    prequential: PrequentialSettings = PrequentialSettings()
    review: ReviewSettings = ReviewSettings()
    spark: SparkSettings = SparkSettings()
    shadow: ShadowSettings = ShadowSettings()
    comparison: ComparisonSettings = ComparisonSettings()
    approve_through: ApproveThroughSettings | None = None
    canary: CanarySettings = CanarySettings()
    gates: GateSettings = GateSettings()
    monitor: MonitorSettings = MonitorSettings()
    performance: PerformanceSettings = PerformanceSettings()
    archive: ArchiveSettings = ArchiveSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    explain: ExplainSettings = ExplainSettings()
    reasons: ReasonSettings = ReasonSettings()
    letters: CustomerLetterSettings = CustomerLetterSettings()
    store: StoreSettings = StoreSettings()
    metrics: MetricsSettings = MetricsSettings()
    alerts: AlertSettings = AlertSettings()
    tracing: TracingSettings | None = None
    log: LogSettings = LogSettings()
    broker: BrokerSettings = BrokerSettings()
    simulator: SimulatorSettings = SimulatorSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What it is called with: `load_settings` lays options, environment and file together."""
        return (init_settings,)

    @model_validator(mode="after")
    def _features_fit(self) -> "Settings":
        check_label_delays(self.plan(), self.labels.delay)
        needed = max(
            self.plan().history_ms + self.windows.allowed_lateness, self.event.deduplicate or 0
        )
        if self.topics.retention < needed:
            raise ValueError(
                f"topics.retention = {format_duration(self.topics.retention)!r} is shorter than "
                f"the windows, or event.deduplicate, look back, {format_duration(needed)!r}: a "
                "start without a snapshot could not restore them; make it longer"
            )
        if self.event.format != "json" and not self.schema_registry.url:
            raise ValueError(
                f"event.format = {self.event.format!r} needs a registry: set schema_registry.url"
            )
        try:
            check_names(self.event, self.carried)
        except ValueError as error:
            by = "feature_log.include" if self.tracing is None else "feature_log.include or tracing"
            raise ValueError(f"{by} names {error}") from error
        along = [("comparison.slice_by", name) for name in self.comparison.slice_by]
        along += [("monitor.segments", name) for name in self.monitor.segments]
        amounts = []
        if self.policy.costs is not None:
            amounts.append(("policy.costs.amount", self.policy.costs.amount))
        if self.approve_through is not None:
            amounts.append(("approve_through.amount", self.approve_through.amount))
        along += amounts
        if self.monitor.producer:
            along.append(("monitor.producer", self.monitor.producer))
        for key, name in along:
            if name not in self.feature_log.include:
                raise ValueError(
                    f"{key} = {name!r} is not among feature_log.include, so the feature log does "
                    "not hold it: add it there"
                )
        known = {*self.feature_log.include, *(each.name for each in self.features)}
        for name in self.monitor.bounds:
            if name not in known:
                raise ValueError(
                    f"monitor.bounds names {name!r}, which is neither a feature nor among "
                    "feature_log.include: add it there, or correct the name"
                )
        check_rules(self.labels.rules, self.rule_columns)
        for key, name in amounts:
            field = self.event.fields.get(name)
            if field is None or field.type not in ("int", "float"):
                raise ValueError(
                    f"{key} = {name!r} is no number: name a field of event.fields whose type is "
                    '"int" or "float"'
                )
        if self.labels.field in self.event.fields:
            raise ValueError(
                f"labels.field {self.labels.field!r} is among event.fields: an event must not "
                "carry its own label; remove it there"
            )
        taken = {self.topics.name(role) for role in ROLES}.intersection(self.stage_topics())
        if taken:
            raise ValueError(
                f"stages.prefix = {self.stages.prefix!r} gives a topic between stages the name of "
                f"another, {min(taken)!r}: choose another prefix"
            )
        if self.store.witness_topic in {*map(self.topics.name, ROLES), *self.stage_topics()}:
            raise ValueError(
                f"store.witness_topic = {self.store.witness_topic!r} is the name of another topic: "
                "give it one of its own"
            )
        return self

    def plan(self) -> FeaturePlan:
        """The declared features, compiled."""
        return FeaturePlan(self.features, self.event)

    @property
    def rule_columns(self) -> dict[str, str]:
        """What rules of labels may read, with types: features, and fields that go along.

        Where both have one name it is the feature.
        """
        fields = self.event.fields
        along: dict[str, str] = {
            name: fields[name].type if name in fields else "string"
            for name in self.feature_log.include
        }
        return along | {each.name: "float" for each in self.features}

    @property
    def compiled_dir(self) -> Path:
        """Where compiled code is kept that can't be beside its sources."""
        return (self.data_dir / "compiled").absolute()

    @property
    def carried(self) -> tuple[str, ...]:
        """Fields, and headers of records, that go along with events to where they are answered."""
        traces = () if self.tracing is None else TRACE_FIELDS
        return (*self.feature_log.include, *traces)

    def staged_plan(self) -> StagedPlan:
        """The declared features, by stage."""
        key = self.event.key if self.stages.keyed else None
        return split_plan(self.plan(), key, self.carried)

    def terms(self, slices: Sequence[str] | None = None) -> Terms:
        """What mature events are judged by; with slices by other fields than the settings say."""
        terms = Terms.of(self.comparison, self.policy.costs, self.labels.delay)
        return terms if slices is None else replace(terms, slices=tuple(slices))

    def stage_topics(self) -> list[str]:
        """Names of the topics between the stages."""
        return stage_topic_names(self.staged_plan(), self.stages)


def find_settings_file(path: Path | None) -> Path:
    """The file to read: the one given, that of ``WEIR_CONFIG``, or ``weir.toml`` here.

    Raises:
        SettingsError: there is none.
    """
    if path is None and CONFIG_VARIABLE in os.environ:
        path = Path(os.environ[CONFIG_VARIABLE])
    if path is None:
        path = DEFAULT_FILE
        if not path.is_file():
            raise SettingsError(
                "there is no weir.toml in this folder: make one with `weir init`, or name one "
                "with --config FILE"
            )
    if not path.is_file():
        raise SettingsError(f"there is no settings file {str(path)!r}")
    return path


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:
    """Read settings; what is logged from here on is as they say.

    Options of the command line win over the environment, and that over the file.

    Args:
        path: see `find_settings_file`.
        overrides: sections whose keys win over both, such as ``broker={"port": 0}``: what was
            given as an option of the command line.

    Raises:
        SettingsError: a file is missing, no TOML, or holds a wrong key or value.
    """
    path = find_settings_file(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: can't be read: {error}") from error
    _check_tables(path, values)
    try:
        settings = Settings(**_over(_over(values, EnvSettingsSource(Settings)()), overrides))
    except ValidationError as error:
        raise SettingsError(_explain(path, error)) from error
    except UnreadableVariableError as error:
        raise SettingsError(_explain_variable(error)) from error
    _check_environment()
    logs.follow(settings.log)
    compiled_code.keep_in(settings.compiled_dir)
    return settings


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Two layers of settings; of tables in both, each key by itself is that of the upper one."""
    both = dict(lower)
    for name, value in upper.items():
        former = both.get(name)
        if isinstance(former, Mapping) and isinstance(value, Mapping):
            value = _over(former, value)
        both[name] = value
    return both


def _check_tables(path: Path, values: dict[str, Any]) -> None:
    """Refuse ``kafka = "here"``, which keys from the environment would replace in silence."""
    for name, value in values.items():
        field = Settings.model_fields.get(name)
        kind = None if field is None else field.annotation
        if isinstance(kind, type) and issubclass(kind, Section) and not isinstance(value, dict):
            raise SettingsError(f"{path}: {name}: this is a table: write [{name}] and its keys")


def _explain_variable(error: UnreadableVariableError) -> str:
    """Which variables may be meant; the error knows only the section."""
    sections = [name for name in Settings.model_fields if f'"{name}"' in str(error)]
    names = [
        name
        for name in sorted(os.environ)
        for section in sections
        if name.upper().startswith(f"{ENV_PREFIX}{section.upper()}")
    ]
    return (
        f"environment variable {' or '.join(names)}: no JSON, which a table or a list in one "
        f"variable has to be; or write {ENV_PREFIX}SECTION__KEY for each key"
    )


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=True):
        key = ".".join(str(part) for part in problem["loc"]) or "as a whole"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "there is no such key; look for a typing mistake"
        elif problem["type"] == "missing":
            message = "this key is missing"
        elif problem["type"] != "value_error" and not is_secret(Settings, problem["loc"]):
            # What is secret is masked before it is cut: a part of it would not be known for one.
            message += f" (it is {without_secrets(repr(problem['input'])):.60})"
        lines.append(f"{path}: {safe_text(f'{key}: {message}')}")
    return "\n".join(lines)


def _check_environment() -> None:
    """Point out a variable that looks like a setting and is none: it would be ignored.

    Only those with a double underscore look so: Kubernetes gives each container variables such as
    ``WEIR_SERVICE_HOST`` once there is a service of that name.
    """
    for name in sorted(os.environ):
        if not name.startswith(ENV_PREFIX) or "__" not in name:
            continue
        section = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in Settings.model_fields:
            raise SettingsError(
                f"environment variable {name}: there is no section {section!r}; write "
                f"{ENV_PREFIX}SECTION__KEY, such as {ENV_PREFIX}KAFKA__BOOTSTRAP_SERVERS"
            )
