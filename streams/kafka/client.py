"""How to reach Kafka: settings, client configurations, and errors that a user can act on."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated, Any, Literal

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from pydantic import Field, SecretStr, field_serializer, model_validator

from streams.base.errors import UNAVAILABLE, WRONG_USE, WeirError
from streams.base.masking import hide
from streams.base.secret_fields import LoginUrl, MayHoldSecrets
from streams.base.secrets import check_files, check_one_source, secret_of
from streams.base.section import Section
from streams.kafka.connection.client_log import ClientLog
from streams.kafka.connection.diagnosis import explain_refusal, explain_settings

logger = logging.getLogger(__name__)

Scalar = str | int | float | bool
_Properties = Annotated[dict[str, Scalar], MayHoldSecrets()]


_SILENT = 0
_REFUSED_S = 3.0
_LOOK_S = 0.5
_AGAIN_S = 0.1
_FINAL = {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE}
"""What waiting does not fix."""
_NOT_YET = {
    KafkaError._DESTROY,  # asked of a connection that the client gave up for the broker's own
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_LOGIN = ("sasl.", "ssl.certificate.", "ssl.key.", "ssl.keystore.")
"""What librdkafka's settings of who we are begin with, ..."""
_MECHANISM = {"sasl.mechanism", "sasl.mechanisms"}
"""... but these only say how that is proved."""


class KafkaUnavailableError(WeirError):
    """The cluster did not answer; the message says what the client saw last."""

    exit_code = UNAVAILABLE


class ClientSettingsError(WeirError, ValueError):
    """The settings make no client; the message names the one to change."""

    exit_code = WRONG_USE


class KafkaSettings(Section):
    """The ``[kafka]`` section.

    Attributes:
        bootstrap_servers: the cluster; empty means the local broker of `weir broker`.
        sasl_password_file, ssl_key_password_file: secrets come from a file or from the environment
            (``WEIR_KAFKA__SASL_PASSWORD``), not from the settings file.
        properties: further librdkafka settings for every client, such as
            ``{"client.rack" = "a"}``; `consumer` and `producer` are for one kind only.
    """

    bootstrap_servers: LoginUrl = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: Path | None = None
    ssl_ca_location: Path | None = None
    ssl_certificate_location: Path | None = None
    ssl_key_location: Path | None = None
    ssl_key_password: SecretStr | None = None
    ssl_key_password_file: Path | None = None
    properties: _Properties = Field(default_factory=dict)
    consumer: _Properties = Field(default_factory=dict)
    producer: _Properties = Field(default_factory=dict)

    @model_validator(mode="after")
    def _files_exist(self) -> "KafkaSettings":
        check_one_source(self, "sasl_password", "ssl_key_password")
        check_files(self, "ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
        return self

    @field_serializer("properties", "consumer", "producer")
    def _hide_secrets(self, properties: dict[str, Scalar]) -> dict[str, Scalar]:
        return hide(properties)

    def __repr__(self) -> str:
        return f"KafkaSettings({self.model_dump(exclude_defaults=True)!r})"

    __str__ = __repr__

    @property
    def who(self) -> str:
        """Whom the cluster takes us for, in words."""
        config = self.client_config()
        if self.security_protocol.startswith("SASL") or "sasl.username" in config:
            return f"user {config.get('sasl.username', '')!r}"
        if "ssl.certificate.location" in config:
            return f"the owner of certificate {config['ssl.certificate.location']!r}"
        return "an unnamed user (there is no login in [kafka])"

    def at(self, servers: str, client: Mapping[str, Scalar]) -> "KafkaSettings":
        """These settings for a broker that comes with settings of its own for its clients.

        What is said here wins. Whoever names a login here gets no part of that broker's: it is its
        administrator's.
        """
        said = {name.replace("_", ".") for name in self.model_fields_set} | set(self.properties)
        if said & _MECHANISM:
            said |= _MECHANISM
        own_login = any(name.startswith(_LOGIN) for name in said - _MECHANISM)
        borrowed = {
            name: value
            for name, value in client.items()
            if name not in said
            and (name in _MECHANISM or not (own_login and name.startswith(_LOGIN)))
        }
        return self.model_copy(
            update={"bootstrap_servers": servers, "properties": {**borrowed, **self.properties}}
        )

    def client_config(self) -> dict[str, Any]:
        """librdkafka settings that every client shares; holds secrets: never log it.

        A client with these alone, such as an admin's, is silent: its calls say what fails, and
        nobody polls it for what it would log.
        """
        return self._shared(log_level=_SILENT)

    def _talking(self) -> dict[str, Any]:
        return self._shared(logger=ClientLog(self.client_config()))

    def _shared(self, **ours: Any) -> dict[str, Any]:
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "client.id": "weir",
            **ours,
            # The default lets ten seconds pass where a broker was away for some.
            "reconnect.backoff.max.ms": 1_000,
        }
        for name in (
            "sasl_mechanism",
            "sasl_username",
            "ssl_ca_location",
            "ssl_certificate_location",
            "ssl_key_location",
        ):
            value = getattr(self, name)
            if value is not None:
                config[name.replace("_", ".")] = str(value)
        for name in ("sasl_password", "ssl_key_password"):
            secret = secret_of(self, name)
            if secret is not None:
                config[name.replace("_", ".")] = secret
        return config | self.properties

    def consumer_config(self, **more: Scalar) -> dict[str, Any]:
        """Settings of a consumer that sees only what was committed; ``a_b`` stands for ``a.b``."""
        defaults = {
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            # Also what a zstd batch may unpack to. The client's buffer grows threefold, so one of a
            # third of this is sure to be read.
            "receive.message.max.bytes": 200_000_000,
            # The default refetches 0.5 s after an empty partition's fetch failed.
            "fetch.error.backoff.ms": 50,
        }
        return self._talking() | defaults | _dotted(more) | self.consumer

    def producer_config(self, **more: Scalar) -> dict[str, Any]:
        """Settings of an idempotent producer; ``a_b`` stands for ``a.b``."""
        defaults = {
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.max.bytes": 16_777_216,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 524_288,
        }
        if "transactional_id" in more:
            # Where all brokers are away, librdkafka 2.16 by default forgets those that it knew, but
            # not that one of them was the group's coordinator: then it waits for that one for ever
            # when offsets are to be sent (its issues 5456 and 5511).
            defaults["metadata.recovery.strategy"] = "none"
        return self._talking() | defaults | _dotted(more) | self.producer


def _dotted(settings: dict[str, Scalar]) -> dict[str, Scalar]:
    return {name.replace("_", "."): value for name, value in settings.items()}


def connect(settings: KafkaSettings, timeout_s: float = 15.0) -> AdminClient:
    """Return an admin client of a cluster that answers.

    Raises:
        ClientSettingsError: the settings contradict each other, or a key or certificate in them
            can't be read.
        KafkaUnavailableError: no broker answered in time, or credentials were refused; that comes
            at once, and that nobody listens comes after a few seconds.
    """
    seen: list[KafkaError] = []
    config = settings.client_config()
    try:
        admin = AdminClient(config | {"error_cb": seen.append, "log_level": 0})
    except KafkaException as error:
        said = error.args[0].str()
        raise ClientSettingsError(f"[kafka]: {explain_settings(said) or said}") from error
    start = monotonic()
    while True:
        try:
            admin.list_topics(timeout=_LOOK_S)
            return admin
        except KafkaException as error:
            admin.poll(0)  # calls error_cb
            codes = {each.code() for each in seen}
            telling = [each for each in seen if each.code() != KafkaError._ALL_BROKERS_DOWN]
            reason = (telling or seen or [error.args[0]])[-1].str()
            all_down, final = KafkaError._ALL_BROKERS_DOWN in codes, bool(codes & _FINAL)
            fix = explain_refusal(config, reason) if all_down or final else ""
            patience_s = _REFUSED_S if all_down else timeout_s
            if not (fix or final) and monotonic() - start < patience_s:
                continue
            place = f"Kafka at {settings.bootstrap_servers!r} ({config['security.protocol']})"
            if fix:
                raise KafkaUnavailableError(f"{place}: {fix}. The client said: {reason}") from error
            raise KafkaUnavailableError(
                f"no answer from {place}: {reason}. Check kafka.bootstrap_servers and the "
                "security settings, or start a local broker with `weir broker start`"
            ) from error


def stable_offsets(
    admin: AdminClient, group: str, places: Iterable[tuple[str, int]], timeout_s: float
) -> list[TopicPartition]:
    """What a group has committed of some partitions, with its metadata; nothing is -1001.

    Those that an open transaction commits to have the error ``UNSTABLE_OFFSET_COMMIT``; the
    others do not wait for it, as they do where a consumer asks.

    Raises:
        KafkaException: the cluster does not say.
    """
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
    asked = admin.list_consumer_group_offsets(
        [wanted], require_stable=True, request_timeout=timeout_s
    )
    found: list[TopicPartition] = asked[group].result().topic_partitions
    return found


def watermarks(
    consumer: Consumer, partition: TopicPartition, timeout_s: float = 30.0
) -> tuple[int, int]:
    """First offset of a partition and the one behind its last.

    Asks again for a while: a topic that was made just now may have no leader yet.

    Raises:
        KafkaException: the cluster failed for longer than that.
    """
    start = monotonic()
    while True:
        try:
            low, high = consumer.get_watermark_offsets(partition, timeout=timeout_s)
            return low, high
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or monotonic() - start > timeout_s:
                raise
            sleep(_AGAIN_S)
