"""What the settings mean for the cluster: how to reach it, topics, rights."""

from collections.abc import Callable, Iterable, Sequence

from confluent_kafka.admin import AdminClient

from inference.control.signatures import CommandKeys
from inference.packages.registry import Registry
from inference.packages.signature import PackageKeys
from streams.kafka.client import KafkaSettings, KafkaUnavailableError, connect
from streams.kafka.rights.acl import Acl
from streams.kafka.rights.acls import Usage, acls_of
from streams.kafka.rights.permission_check import check_rights
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import ROLES, SCORER_ROLES, Role, ensure_topics
from streams.stages.worker.stage_topics import ensure_stage_topics
from weir.broker import LocalBroker
from weir.config.errors import SettingsError
from weir.config.settings import Settings


def kafka_settings(settings: Settings) -> KafkaSettings:
    """How to reach Kafka: as the settings say, or the local broker where they name no cluster.

    Raises:
        KafkaUnavailableError: no cluster is named and the local broker does not run.
    """
    if settings.kafka.bootstrap_servers:
        return settings.kafka
    status = LocalBroker(settings.broker).status()
    if not status.running or status.bootstrap_servers is None:
        raise KafkaUnavailableError(
            "kafka.bootstrap_servers is empty and the local broker does not run: start it with "
            "`weir broker start`, or name your cluster there"
        )
    return settings.kafka.at(status.bootstrap_servers, settings.broker.client_config())


def usage(settings: Settings) -> Usage:
    """Which names the processes' rights are about."""
    staged = settings.loop.topology == "staged"
    return Usage(
        settings.topics,
        settings.loop.group,
        reads_labels=settings.plan().reads_labels,
        snapshots=settings.snapshots.enabled,
        stages=settings.stage_topics() if staged else (),
        explains_inline=settings.explain.mode == "inline",
        approves_through=settings.approve_through is not None,
        explainer_group=settings.explain.group,
        shadow_group=settings.shadow.group,
        canary_group=settings.canary.group,
        monitor_group=settings.monitor.group,
        archive_group=settings.archive.group,
        controller_group=settings.retraining.group,
        sink_group=settings.store.group,
        witness_topic=settings.store.witness_topic,
    )


def rights_of(process: Process) -> Callable[[Settings], list[Acl]]:
    """From settings to what a process has to be allowed by them."""
    return lambda settings: acls_of(process, usage(settings))


def admitted(
    settings: Settings, needed: Callable[[Usage], Iterable[Acl]]
) -> tuple[KafkaSettings, AdminClient]:
    """How to reach Kafka, and a client of it, once it answers and lets us do what is needed.

    Raises:
        KafkaUnavailableError: it does not answer, or does not let us in.
        AuthorizationError: rights are missing.
    """
    kafka = kafka_settings(settings)
    admin = connect(kafka)
    check_rights(admin, list(needed(usage(settings))), kafka.who)
    return kafka, admin


def open_registry(settings: Settings, *, signing: bool = False) -> Registry:
    """The registry of models; for `signing`, one that signs what it is given with our key.

    Raises:
        KeyFileError: a key can't be read.
        SettingsError: packages have to be signed here, and we can't.
    """
    signer = settings.signing.signer() if signing else None
    keys = PackageKeys(signer, settings.signing.trusted())
    if signing and not keys.may_sign:
        raise SettingsError(
            "signing.trusted_keys says whose packages may serve, and signing.key_file names no key "
            "of theirs: no scorer would take this model. Name a private key there whose public one "
            "may sign packages; `weir keys list` shows them"
        )
    return Registry(settings.registry, settings.data_dir, keys)


def command_keys(settings: Settings, *, signing: bool = False) -> CommandKeys:
    """Whose commands count; and, for `signing`, our own key.

    Raises:
        KeyFileError: a key can't be read.
    """
    signer = settings.signing.signer() if signing else None
    return CommandKeys(settings.topics.control, signer, settings.signing.trusted())


def scorer_roles(settings: Settings) -> Sequence[Role]:
    """Of the topics that a scorer reads and writes by these settings."""
    inline = settings.explain.mode == "inline"
    return (*SCORER_ROLES, "explanations") if inline else SCORER_ROLES


def ensure_all_topics(
    admin: AdminClient, settings: Settings, roles: Sequence[Role] = ROLES
) -> list[str]:
    """Make the topics of some roles and of the stages that are missing; return their names.

    Raises:
        TopicError: a topic can't be made, or does not fit.
        AuthorizationError: we may not make it.
        KeysMovedError: see `ensure_stage_topics`.
    """
    made = ensure_topics(admin, settings.topics, roles)
    if settings.loop.topology == "staged":
        made += ensure_stage_topics(
            admin,
            settings.topics,
            settings.staged_plan(),
            settings.stages,
            settings.windows.allowed_lateness,
            tolerant=settings.snapshots.tolerant,
        )
    return made
