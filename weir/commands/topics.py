"""`weir topics`: make the topics."""

from streams.kafka import connect
from streams.topics import ROLES, ensure_topics, partition_counts
from weir.console import ConfigOption, JsonOption, print_json, stdout
from weir.settings import load_settings
from weir.wiring import kafka_settings


def topics(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make the topics that are missing, and list them all.

    The other commands do so too; this one is for a cluster where only you may make topics.
    """
    settings = load_settings(config)
    admin = connect(kafka_settings(settings))
    made = ensure_topics(admin, settings.topics)
    counts = partition_counts(admin, settings.topics)
    rows = [
        {
            "role": role,
            "topic": settings.topics.name(role),
            "partitions": counts[role],
            "made": settings.topics.name(role) in made,
        }
        for role in ROLES
    ]
    if as_json:
        print_json({"topics": rows})
        return
    for row in rows:
        new = "  (new)" if row["made"] else ""
        stdout.print(f"{row['topic']:<24} {row['partitions']:>3} partitions{new}")
