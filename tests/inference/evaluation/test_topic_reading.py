"""Reading the scores and labels topics."""

import json
from time import monotonic

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from inference.evaluation.topic_reading import join_labels, read_labels, read_scores
from streams.events.labels import progress_header
from streams.files.columns import UNLABELLED
from streams.kafka.client import KafkaSettings
from weir.config.settings import EXAMPLE_FILE, load_settings

EVENT = load_settings(EXAMPLE_FILE).event


def answer(event, probability, decision="approve", key=7):
    timings = {"scored": 3, "batch": 1, "decode_us": 1, "features_us": 1, "inference_us": 1}
    return json.dumps(
        {
            "event_id": event,
            "key": key,
            "event_time": 1_000 + event,
            "score": probability / 2,
            "probability": probability,
            "anomaly": 0.5,
            "decision": decision,
            "model": "m",
            "policy": "1",
            "feature_schema": "f",
            "arrived": 2,
            "timings": timings,
        }
    )


@pytest.fixture
def publish(kafka):
    """Return a function that publishes values, or (value, headers), to a topic's partition 0."""
    producer = Producer({"bootstrap.servers": kafka})

    def publish(topic, *values, partition=0):
        for value in values:
            content, headers = value if isinstance(value, tuple) else (value, None)
            producer.produce(topic, content, headers=headers, partition=partition)
        assert producer.flush(20) == 0

    return publish


@pytest.fixture
def settings(kafka):
    return KafkaSettings(bootstrap_servers=kafka)


def wait_for_leaders(settings, topic, partitions):
    """A partition that was made this very moment may not answer yet."""
    consumer = Consumer(settings.consumer_config(group_id="weir-test"))
    deadline = monotonic() + 20
    for partition in range(partitions):
        while True:
            try:
                consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
                break
            except KafkaException:
                assert monotonic() < deadline
    consumer.close()


def test_the_first_answer_counts_and_others_are_duplicates(publish, settings, make_topics):
    (topic,) = make_topics("scores", partitions=2)
    publish(topic, answer(3, 0.1), answer(1, 0.9, "decline"), answer(3, 0.7))
    publish(topic, answer(2, 0.4, "review"), partition=1)
    progress = []
    scored = read_scores(settings, topic, lambda done, total: progress.append((done, total)))
    assert scored.ids == [1, 2, 3]
    assert scored.probabilities.tolist() == [0.9, 0.4, 0.1]
    assert scored.scores.tolist() == [0.45, 0.2, 0.05]
    assert scored.decisions.tolist() == ["decline", "review", "approve"]
    assert scored.times.tolist() == [1_001, 1_002, 1_003]
    assert scored.keys == [7, 7, 7]
    assert scored.duplicates == 1
    assert progress[-1] == (4, 4)


def test_an_aborted_answer_was_never_given(kafka, settings, make_topics):
    (topic,) = make_topics("scores")
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(20)
    for event, keep in ((1, True), (2, False), (3, True), (4, False)):
        producer.begin_transaction()
        producer.produce(topic, answer(event, 0.1))
        producer.flush(20)
        (producer.commit_transaction if keep else producer.abort_transaction)(20)
    scored = read_scores(settings, topic)
    assert scored.ids == [1, 3]
    assert scored.duplicates == 0


def test_an_empty_topic_holds_no_answers(settings, make_topics):
    (topic,) = make_topics("scores", partitions=3)
    wait_for_leaders(settings, topic, 3)
    scored = read_scores(settings, topic)
    assert (scored.ids, scored.duplicates, len(scored.times)) == ([], 0, 0)


@pytest.mark.parametrize("foreign", [b"", b"{", b"null", b'{"event_id": 1}', b"\xff\xfe", None])
def test_a_record_that_is_no_answer_is_named(publish, settings, make_topics, foreign):
    (topic,) = make_topics("scores")
    publish(topic, answer(1, 0.1), foreign)
    with pytest.raises(ValueError, match=rf"{topic}.* partition 0, offset 1: .*topics\.scores"):
        read_scores(settings, topic)


def test_a_missing_topic_is_named(settings):
    with pytest.raises(ValueError, match="'no-such-scores': make it with `weir topics`"):
        read_scores(settings, "no-such-scores")


def test_the_latest_label_counts(publish, settings, make_topics):
    (topic,) = make_topics("labels")
    publish(
        topic,
        *(
            json.dumps({"event_id": event, "label": label, "time": 1_700_000_000_005})
            for event, label in ((1, 0), (2, 1), (1, 1))
        ),
        (None, progress_header(9)),
        "no label at all",
        json.dumps({"event_id": 3, "label": 2, "time": 1_700_000_000_005}),
        json.dumps({"event_id": 4, "label": 0, "time": 1_700_000_000_005}),
        None,
    )
    labels = read_labels(settings, topic, EVENT)
    assert labels == {1: 1, 2: 1, 4: 0}
    joined = join_labels([4, 3, 2], labels)
    assert joined.tolist() == [0, UNLABELLED, 1]
    assert joined.dtype == np.int8
