"""What Kafka reads at start-up: ``server.properties`` and the configuration of its log."""

from pathlib import Path

from weir.broker.settings import BrokerSettings
from weir.broker.state import Ports

_NODE_ID = "1"
_MEBIBYTE = 1 << 20

_ONE_NODE = {
    "process.roles": "broker,controller",
    "node.id": _NODE_ID,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # One machine gains nothing from fifty partitions of these, and each takes time to create.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # There is nobody to hand partitions over to: trying it leaves them without a leader, and Kafka
    # forgets to end the transactions of that moment.
    "controlled.shutdown.enable": "false",
    # Nobody else is coming: do not wait for them.
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "200",
    # A killed broker may register again only when this is over.
    "broker.session.timeout.ms": "3000",
    # Tests of a crashed consumer should not take the usual 45 seconds.
    "group.min.session.timeout.ms": "1000",
    # A mistyped topic is an error, as on a production cluster.
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(16 * _MEBIBYTE),
    # Records of last year's events are a year old when they arrive: time must not delete them.
    "log.retention.ms": "-1",
    # The default of 128 MiB would be a quarter of our heap.
    "log.cleaner.dedupe.buffer.size": str(16 * _MEBIBYTE),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


def server_properties(settings: BrokerSettings, ports: Ports, log_dir: Path) -> str:
    """Return the text of ``server.properties`` for topics in `log_dir`."""
    controller = f"127.0.0.1:{ports.controller}"
    for_clients = {"CLIENT": ports.client, **ports.more}

    def listen(host: str) -> str:
        return ",".join(f"{name}://{_in_url(host)}:{port}" for name, port in for_clients.items())

    values = {
        **_ONE_NODE,
        "log.dirs": str(log_dir),
        "listeners": f"{listen(settings.host)},CONTROLLER://{controller}",
        "advertised.listeners": listen(advertised_host(settings)),
        "controller.quorum.voters": f"{_NODE_ID}@{controller}",
        **settings.properties,
    }
    return "".join(f"{_escape(name)}={_escape(value)}\n" for name, value in values.items())


def advertised_host(settings: BrokerSettings) -> str:
    """Return the host that clients are told; for "all interfaces" that is the loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)


def bootstrap_servers(settings: BrokerSettings, port: int) -> str:
    """Return what a client on this machine puts in ``bootstrap.servers``."""
    return f"{_in_url(advertised_host(settings))}:{port}"


def log4j2_properties(file: Path) -> str:
    """Return the configuration of Kafka's log: `file`, rolled at 20 MB, three old ones kept."""
    values = {
        "status": "error",
        # Else the last words of a broker that stops would be lost.
        "shutdownHook": "disable",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": str(file),
        "appender.file.filePattern": f"{file}.%i",
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d{ISO8601} %p %m (%c)%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "20MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "3",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
        # Twenty pages of configuration, printed six times, hide what matters.
        "logger.config.name": "org.apache.kafka.common.config.AbstractConfig",
        "logger.config.level": "warn",
    }
    return "".join(f"{name}={_escape(value)}\n" for name, value in values.items())


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _escape(text: str) -> str:
    """Write a key or value of a Java properties file, which is Latin-1 and splits at ``=``."""
    written = []
    for unit in text.encode("utf-16-be").hex(" ", 2).split():
        code = int(unit, 16)
        character = chr(code)
        if character in "\\=:#! ":
            written.append("\\" + character)
        elif 0x20 <= code < 0x7F:
            written.append(character)
        else:
            written.append(f"\\u{unit}")
    return "".join(written)
