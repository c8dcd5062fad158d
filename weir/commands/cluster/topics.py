"""`weir topics`: make the topics."""

from explain.workers.witness_topic import ensure_witness_topic
from streams.kafka.client import connect
from streams.kafka.topics.topic_partitions import partitions_of
from streams.kafka.topics.weir_topics import ROLES
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.config.settings import load_settings
from weir.services.wiring import ensure_all_topics, kafka_settings


def topics(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make the topics that are missing, and list them all.

    The other commands do so too; this one is for a cluster where only you may make topics. With
    loop.topology = "staged", the topics between the stages are among them, and that of
    store.witness_topic if it is set.
    """
    settings = load_settings(config)
    admin = connect(kafka_settings(settings))
    made = ensure_all_topics(admin, settings)
    names = [(str(role), settings.topics.name(role)) for role in ROLES]
    if settings.loop.topology == "staged":
        names += [("stage", name) for name in settings.stage_topics()]
    if witness := settings.store.witness_topic:
        made += ensure_witness_topic(admin, witness, settings.topics.replication_factor)
        names.append(("witness", witness))
    counts = partitions_of(admin, [name for _, name in names])
    rows = [
        {"role": role, "topic": name, "partitions": counts[name], "made": name in made}
        for role, name in names
    ]
    if as_json:
        print_json({"topics": rows})
        return
    for row in rows:
        new = "  (new)" if row["made"] else ""
        stdout.print(f"{row['topic']:<24} {row['partitions']:>3} partitions{new}")
