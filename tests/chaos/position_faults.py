"""Faults of what says where reading goes on: a group's offsets, and the partitions of topics."""

import signal
from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from tests.chaos.configuration import GROUP, MOST_PARTITIONS, SESSION_S, TOPICS
from tests.chaos.log_damage import cut_logs
from tests.chaos.stage import LIVELY_S, NotNowError, Stage

_ENDED_S = 40.0
_KNOWN_S = 5.0
"""Longer than any scorer needs to notice that partitions were added, and than a producer does."""


def lost_offsets(stage: Stage) -> None:
    """All scorers end, and the cluster forgets their group, as it does a week later."""
    _with_nobody_in_the_group(stage, "offsets lost", _forgotten)


def old_offsets(stage: Stage) -> None:
    """All scorers end, and somebody sets their group's offsets back."""
    share = float(stage.rng.uniform(0.2, 0.9))
    _with_nobody_in_the_group(stage, "offsets set back", lambda admin: _set_back(admin, share))


def forgetful_coordinator(stage: Stage) -> None:
    """The broker is killed, and the last that groups committed is gone, while scorers run on."""
    cluster = stage.cluster
    share = float(stage.rng.uniform(0.05, 0.5))
    cluster.signal(signal.SIGKILL)
    if not stage.until(lambda: cluster.pid is None, _ENDED_S):
        raise NotNowError
    cut_logs(cluster.disk.folder, share)
    cluster.start()
    if not stage.answers_again():
        stage.found.add("stuck", f"a broker forgot offsets: nothing answered for {LIVELY_S:.0f} s")


def _with_nobody_in_the_group(
    stage: Stage, what: str, change: Callable[[AdminClient], bool]
) -> None:
    """End all scorers, change what the cluster knows of their group, and start them again."""
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
        if not stage.until(lambda: change(admin), 3 * SESSION_S + _ENDED_S):
            raise NotNowError
    finally:
        scorers.wanted = stage.workers
    if not stage.answers_again():
        stage.found.add("stuck", f"{what}: nothing answered for {LIVELY_S:.0f} s")


def _forgotten(admin: AdminClient) -> bool:
    try:
        admin.delete_consumer_groups([GROUP], request_timeout=5)[GROUP].result(10)
    except KafkaException:
        return False
    return True


def _set_back(admin: AdminClient, share: float) -> bool:
    """Commit this share of each offset, with what was committed beside it."""
    try:
        wanted = ConsumerGroupTopicPartitions(GROUP)
        known = admin.list_consumer_group_offsets([wanted], request_timeout=5)[GROUP].result(10)
        back = [
            TopicPartition(
                each.topic, each.partition, int(each.offset * share), each.metadata or ""
            )
            for each in known.topic_partitions
            if each.offset >= 0
        ]
        if not back:  # another fault has just had them forgotten
            return False
        changed = ConsumerGroupTopicPartitions(GROUP, back)
        admin.alter_consumer_group_offsets([changed], request_timeout=5)[GROUP].result(10)
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
