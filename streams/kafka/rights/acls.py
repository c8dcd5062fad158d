"""What each process has to be allowed on a cluster with ACLs, and no more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.kafka.rights.acl import Acl
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import FOLLOWING, ROLES, TopicSettings


@dataclass(frozen=True)
class Usage:
    """What the settings say about who uses what.

    Attributes:
        group: consumer group of the scorer.
        reads_labels: whether a feature needs labels.
        snapshots: whether state is written down.
        stages: topics between the stages of a staged topology; none where it is fused.
        explains_inline: whether the scorer writes explanations.
        explainer_group, sink_group, shadow_group, canary_group, monitor_group, archive_group,
        controller_group: consumer groups of those who explain, keep that, try candidates, step a
            canary, watch for drift, archive, and have models trained anew.
        approves_through: whether the scorer approves would-be declines within a budget.
        witness_topic: where the sink writes the store's anchors; empty for nowhere.
    """

    topics: TopicSettings
    group: str
    reads_labels: bool = True
    snapshots: bool = True
    stages: Sequence[str] = ()
    explains_inline: bool = False
    approves_through: bool = False
    explainer_group: str = "weir-explainer"
    shadow_group: str = "weir-shadow"
    canary_group: str = "weir-canary"
    monitor_group: str = "weir-monitor"
    archive_group: str = "weir-archive"
    controller_group: str = "weir-controller"
    sink_group: str = "weir-sink"
    witness_topic: str = ""


def acls_of(process: Process, usage: Usage) -> list[Acl]:
    """The ACLs that a process needs; Kafka takes Read, Write and Delete to include Describe."""
    return _TABLE[process](usage)


def _topics(usage: Usage) -> list[Acl]:
    names = [*(usage.topics.name(role) for role in ROLES), *usage.stages]
    names += [usage.witness_topic] if usage.witness_topic else []
    # The last stage topic is the one of the join, which has as many as the events.
    following = [*(usage.topics.name(role) for role in FOLLOWING), *usage.stages[-1:]]
    return [
        *(Acl("Create", "topic", name, why="makes it") for name in names),
        *(Acl("Describe", "topic", name, why="sees whether it is there") for name in names),
        *(Acl("Alter", "topic", name, why="gives it as many partitions") for name in following),
    ]


def _producer(usage: Usage) -> list[Acl]:
    return [
        Acl("Write", "topic", usage.topics.events, why="events"),
        Acl("Write", "topic", usage.topics.labels, why="labels, and how far they are complete"),
    ]


def _scorer(usage: Usage) -> list[Acl]:
    topics = usage.topics
    acls = [Acl("Read", "topic", topics.events, why="events to answer")]
    if usage.reads_labels:
        acls.append(Acl("Read", "topic", topics.labels, why="labels that features read"))
    else:
        acls.append(Acl("Describe", "topic", topics.labels, why="sees whether it is there"))
    acls += [
        Acl("Write", "topic", topics.scores, why="answers"),
        Acl("Write", "topic", topics.feature_log, why="what the model saw"),
        Acl("Write", "topic", topics.dead_letters, why="rejected records"),
        *_positions(topics),
        Acl("Read", "topic", topics.control, why="which model and policy shall answer"),
        Acl("Read", "topic", topics.reports, why="which arms it had stopped, at a start"),
        Acl("Write", "topic", topics.reports, why="says what became of commands and arms"),
    ]
    if usage.explains_inline:
        acls.append(Acl("Write", "topic", topics.explanations, why="why events were flagged"))
    if usage.approves_through:
        acls.append(Acl("Read", "topic", topics.feature_log, why="what was let through so far"))
    if usage.snapshots:
        acls += [
            Acl("Read", "topic", topics.snapshots, why="state, at a start"),
            Acl("Write", "topic", topics.snapshots, why="state, now and then"),
        ]
    else:
        acls.append(Acl("Describe", "topic", topics.snapshots, why="sees whether it is there"))
    for stage in usage.stages:
        acls += [
            Acl("Read", "topic", stage, why="what another stage passes on"),
            Acl("Write", "topic", stage, why="what is passed on to another stage"),
        ]
    acls.append(Acl("Read", "group", usage.group, why="membership and committed offsets"))
    if usage.stages:
        # Each worker has a transactional id of its own.
        own = Acl("Write", "transactional-id", f"{usage.group}-staged-", "prefixed", "exactly once")
    else:
        own = Acl("Write", "transactional-id", f"{usage.group}-fused", why="exactly once")
    return [*acls, own]


def _positions(topics: TopicSettings) -> list[Acl]:
    return [
        Acl("Read", "topic", topics.positions, why="where its group was, at a start"),
        Acl("Write", "topic", topics.positions, why="where its group is"),
    ]


def _workers(topics: TopicSettings, group: str) -> list[Acl]:
    """Of workers that share a group and commit what they make with their offsets."""
    return [
        *_positions(topics),
        Acl("Write", "transactional-id", f"{group}-", "prefixed", "exactly once"),
        Acl("Read", "group", group, why="membership and committed offsets"),
    ]


def _evaluation(usage: Usage) -> list[Acl]:
    return [
        Acl("Read", "topic", usage.topics.events, why="which have no answer yet"),
        Acl("Read", "topic", usage.topics.scores, why="answers"),
        Acl("Read", "topic", usage.topics.labels, why="what became known"),
    ]


def _reader(usage: Usage) -> list[Acl]:
    return [Acl("Read", "topic", usage.topics.dead_letters, why="letters and marks")]


def requeue_acls(usage: Usage, targets: Sequence[str] | None = None) -> list[Acl]:
    """What sending letters again needs; `targets` are the topics that they go to.

    Without `targets`, to wherever a scorer's letters can come from.
    """
    topics = usage.topics
    if targets is None:
        targets = [topics.events, *([topics.labels] if usage.reads_labels else [])]
    return [
        *_reader(usage),
        Acl("Write", "topic", topics.dead_letters, why="marks what was sent"),
        *(Acl("Write", "topic", target, why="sends records again") for target in targets),
        Acl("Write", "transactional-id", f"{topics.dead_letters}-requeue", why="each only once"),
    ]


def _purge(usage: Usage) -> list[Acl]:
    return [*_reader(usage), Acl("Delete", "topic", usage.topics.dead_letters, why="letters")]


def _eraser(usage: Usage) -> list[Acl]:
    topics = usage.topics
    letters = topics.dead_letters
    return [
        *_reader(usage),
        *_commands(topics),
        Acl("Read", "topic", topics.control, why="erasures that have nothing left to do"),
        Acl("Write", "topic", letters, why="letters that stay, once more"),
        Acl("Delete", "topic", letters, why="letters that go"),
        Acl("Write", "transactional-id", f"{letters}-requeue", why="no requeue meanwhile"),
        *(
            Acl("DescribeConfigs", "topic", name, why="how long it keeps records")
            for name in (
                topics.events,
                topics.labels,
                topics.scores,
                topics.feature_log,
                topics.explanations,
                topics.shadow_scores,
                *usage.stages,
            )
        ),
    ]


def _control(usage: Usage) -> list[Acl]:
    return [*_viewer(usage), *_commands(usage.topics)]


def _commands(topics: TopicSettings) -> list[Acl]:
    once = "one command at a time"
    return [
        Acl("Write", "topic", topics.control, why="says what shall hold"),
        Acl("Write", "transactional-id", f"{topics.control}-commands", why=once),
    ]


def _viewer(usage: Usage) -> list[Acl]:
    return [
        Acl("Read", "topic", usage.topics.control, why="what shall hold"),
        Acl("Read", "topic", usage.topics.reports, why="who answers by it"),
        Acl("Read", "topic", usage.topics.comparisons, why="what was found of a model"),
    ]


def _explainer(usage: Usage) -> list[Acl]:
    topics, group = usage.topics, usage.explainer_group
    return [
        Acl("Read", "topic", topics.feature_log, why="what models saw and answered"),
        Acl("Write", "topic", topics.explanations, why="explanations"),
        Acl("Write", "topic", topics.dead_letters, why="what can't be explained"),
        *_workers(topics, group),
    ]


def _sink(usage: Usage) -> list[Acl]:
    return [
        Acl("Read", "topic", usage.topics.explanations, why="explanations to store"),
        Acl("Write", "topic", usage.topics.dead_letters, why="what is no explanation"),
        Acl("Read", "group", usage.sink_group, why="membership and committed offsets"),
        *_witness(usage),
        *(Acl("Write", "topic", each.name, why="the store's anchors") for each in _witness(usage)),
    ]


def _witness(usage: Usage) -> list[Acl]:
    topic, why = usage.witness_topic, "which anchors the store had"
    return [Acl("Read", "topic", topic, why=why)] if topic else []


def _auditor(usage: Usage) -> list[Acl]:
    return [
        *_witness(usage),
        Acl("Describe", "topic", usage.topics.explanations, why="which partitions it has"),
        Acl("Describe", "group", usage.sink_group, why="what sinks noted beside their offsets"),
    ]


def _fidelity(usage: Usage) -> list[Acl]:
    return [Acl("Read", "topic", usage.topics.feature_log, why="what was flagged")]


def _shadow(usage: Usage) -> list[Acl]:
    topics, group = usage.topics, usage.shadow_group
    return [
        Acl("Read", "topic", topics.feature_log, why="what the champion saw and answered"),
        Acl("Read", "topic", topics.control, why="which candidates are tried"),
        Acl("Write", "topic", topics.shadow_scores, why="what candidates would have said"),
        Acl("Read", "topic", topics.shadow_scores, why="which wait for labels"),
        Acl("Read", "topic", topics.labels, why="what events turned out to be"),
        Acl("Write", "topic", topics.shadow_evidence, why="what is found of candidates"),
        Acl("Read", "topic", topics.shadow_evidence, why="what was found, at a start"),
        Acl("Write", "topic", topics.dead_letters, why="what is no record of these topics"),
        *_workers(topics, group),
        Acl("Read", "group", f"{group}-join", why="the same, where scores meet labels"),
    ]


def _comparison(usage: Usage) -> list[Acl]:
    topics = usage.topics
    return [
        Acl("Read", "topic", topics.control, why="which candidates are tried"),
        Acl("Read", "topic", topics.shadow_evidence, why="what was found of them"),
        Acl("Read", "topic", topics.shadow_scores, why="what two candidates said"),
        Acl("Read", "topic", topics.labels, why="what events turned out to be"),
    ]


def _judge(usage: Usage) -> list[Acl]:
    topics = usage.topics
    return [
        Acl("Read", "topic", topics.control, why="which candidates are tried"),
        Acl("Read", "topic", topics.shadow_evidence, why="what was found of them"),
        Acl("Write", "topic", topics.comparisons, why="what was found"),
    ]


def _canary(usage: Usage) -> list[Acl]:
    topics = usage.topics
    return [
        *_control(usage),
        Acl("Read", "topic", topics.feature_log, why="how the arms fare"),
        Acl("Write", "topic", topics.comparisons, why="what was found, and done"),
        Acl("Read", "group", usage.canary_group, why="one keeper of several is at work"),
    ]


def _monitor(usage: Usage) -> list[Acl]:
    topics, group = usage.topics, usage.monitor_group
    return [
        Acl("Read", "topic", topics.feature_log, why="what was seen and answered"),
        Acl("Write", "topic", topics.drift_counts, why="what was counted of it"),
        Acl("Read", "topic", topics.drift_counts, why="the counts of all workers"),
        Acl("Write", "topic", topics.drift_state, why="what is known of the stream"),
        Acl("Read", "topic", topics.drift_state, why="what was known, at a start"),
        Acl("Write", "topic", topics.drift, why="episodes of drift"),
        Acl("Read", "topic", topics.drift, why="the same, for whoever asks over HTTP"),
        Acl("Read", "topic", topics.labels, why="what events turned out to be"),
        Acl("Write", "topic", topics.performance_state, why="what waits for labels, and cohorts"),
        Acl("Read", "topic", topics.performance_state, why="the same, at a start"),
        Acl("Write", "topic", topics.dead_letters, why="what is no record of these topics"),
        Acl("Read", "topic", topics.dead_letters, why="which records are rejected, and whose"),
        *_workers(topics, group),
        Acl("Read", "group", f"{group}-letters", why="the same, where dead letters are counted"),
        Acl("Read", "group", f"{group}-drift", why="the same, where one sees all counts"),
    ]


def _archive(usage: Usage) -> list[Acl]:
    topics = usage.topics
    return [
        Acl("Read", "topic", topics.feature_log, why="what was seen and answered"),
        Acl("Read", "topic", topics.scores, why="what consumers were told"),
        Acl("Read", "topic", topics.labels, why="what events turned out to be"),
        Acl("Read", "topic", topics.control, why="who is to be erased"),
        Acl("Write", "topic", topics.dead_letters, why="what is no record of these topics"),
        Acl("Read", "group", usage.archive_group, why="membership and committed offsets"),
    ]


def _controller(usage: Usage) -> list[Acl]:
    topics = usage.topics
    return [
        Acl("Read", "topic", topics.drift, why="episodes that ask for retraining, or block it"),
        Acl("Read", "topic", topics.comparisons, why="how its candidates fare"),
        Acl("Read", "topic", topics.control, why="what people say, and which models answer"),
        *_commands(topics),
        Acl("Write", "topic", topics.retraining, why="what was decided, and why"),
        Acl("Read", "topic", topics.retraining, why="the same, so that nothing is decided twice"),
        Acl("Write", "topic", topics.retraining_state, why="what it knows"),
        Acl("Read", "topic", topics.retraining_state, why="the same, at a start"),
        Acl("Read", "group", usage.controller_group, why="one of several is at work"),
    ]


def _controller_status(usage: Usage) -> list[Acl]:
    return [Acl("Read", "topic", usage.topics.retraining, why="what the controller knows")]


def _drift(usage: Usage) -> list[Acl]:
    return [Acl("Read", "topic", usage.topics.drift, why="episodes of drift")]


def _drift_act(usage: Usage) -> list[Acl]:
    act = Acl("Write", "topic", usage.topics.drift_counts, why="what is said of an episode")
    return [*_drift(usage), act]


def _replay(usage: Usage) -> list[Acl]:
    topics = usage.topics
    return [
        Acl("Read", "topic", topics.feature_log, why="what was seen and answered"),
        Acl("Read", "topic", topics.labels, why="what events turned out to be"),
    ]


def _labeller(usage: Usage) -> list[Acl]:
    return [Acl("Write", "topic", usage.topics.labels, why="what events turned out to be")]


_TABLE: dict[Process, Callable[[Usage], list[Acl]]] = {
    Process.TOPICS: _topics,
    Process.PRODUCER: _producer,
    Process.SCORER: _scorer,
    Process.EVALUATION: _evaluation,
    Process.LETTERS: _reader,
    Process.REQUEUE: requeue_acls,
    Process.PURGE: _purge,
    Process.ERASER: _eraser,
    Process.CONTROL: _control,
    Process.VIEWER: _viewer,
    Process.EXPLAINER: _explainer,
    Process.SINK: _sink,
    Process.AUDITOR: _auditor,
    Process.FIDELITY: _fidelity,
    Process.LABELLER: _labeller,
    Process.SHADOW: _shadow,
    Process.COMPARISON: _comparison,
    Process.CANARY: _canary,
    Process.JUDGE: _judge,
    Process.MONITOR: _monitor,
    Process.ARCHIVE: _archive,
    Process.CONTROLLER: _controller,
    Process.CONTROLLER_STATUS: _controller_status,
    Process.DRIFT: _drift,
    Process.DRIFT_ACT: _drift_act,
    Process.REPLAY: _replay,
}
