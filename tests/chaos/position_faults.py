"""Faults of what says where reading goes on: a group's offsets, and the partitions of topics."""

import signal
from contextlib import suppress

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions

from tests.chaos.configuration import GROUP, MOST_PARTITIONS, SESSION_S, TOPICS
from tests.chaos.stage import LIVELY_S, NotNowError, Stage

_ENDED_S = 40.0
_KNOWN_S = 5.0
"""Longer than any scorer needs to notice that partitions were added, and than a producer does."""


def lost_offsets(stage: Stage) -> None:
    """All scorers end, and the cluster forgets their group, as it does a week later."""
    scorers = stage.scorers
    scorers.wanted = 0
    hard = stage.rng.random() < 0.5
    for scorer in scorers.running:
        scorer.send(signal.SIGCONT)
        scorer.send(signal.SIGKILL if hard else signal.SIGTERM)
    try:
        if not stage.until(lambda: not scorers.running, _ENDED_S):
            raise NotNowError
        admin = AdminClient({"bootstrap.servers": stage.cluster.bootstrap_servers})
        # Members that were killed are in the group until their session is over.
        if not stage.until(lambda: _forgotten(admin), 3 * SESSION_S + _ENDED_S):
            raise NotNowError
    finally:
        scorers.wanted = stage.workers
    if not stage.answers_again():
        stage.found.add("stuck", f"offsets lost: nothing answered for {LIVELY_S:.0f} s")


def _forgotten(admin: AdminClient) -> bool:
    try:
        admin.delete_consumer_groups([GROUP], request_timeout=5)[GROUP].result(10)
    except KafkaException:
        return False
    return True


def added_partitions(stage: Stage) -> None:
    """Events and labels get a partition, and cards and labels move, while scorers run."""
    feeder = stage.feeder
    partitions = feeder.wanted_partitions + 1
    if partitions > MOST_PARTITIONS or not feeder.is_alive():
        raise NotNowError
    admin = AdminClient({"bootstrap.servers": stage.cluster.bootstrap_servers})
    feeder.held = True
    try:
        stage.pause(0.5)  # what is being sent
        # Scorers wait for a partition that nothing is sent to: so this has to come to its end.
        while not all(_has(admin, role, partitions) for role in ("events", "labels")):
            wider = [NewPartitions(TOPICS[role], partitions) for role in ("events", "labels")]
            for made in admin.create_partitions(wider, request_timeout=5).values():
                with suppress(KafkaException):
                    made.result(10)
            stage.pause(0.5)
        if not stage.until(lambda: _has(admin, "scores", partitions), LIVELY_S):
            stage.found.add("too few partitions", f"scores have not got {partitions}")
        stage.pause(_KNOWN_S)
        feeder.wanted_partitions = partitions
    finally:
        feeder.held = False
    if not stage.answers_again():
        stage.found.add("stuck", f"partitions added: nothing answered for {LIVELY_S:.0f} s")


def _has(admin: AdminClient, role: str, partitions: int) -> bool:
    with suppress(KafkaException):
        topics = admin.list_topics(timeout=5).topics
        return len(topics[TOPICS[role]].partitions) >= partitions
    return False
