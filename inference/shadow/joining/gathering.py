"""The evidence of all partitions, put together: of the topic of evidence, or of one state."""

from collections.abc import ItemsView, Iterable
from threading import Event

import numpy as np

from inference.shadow.comparison.gathered import RECENT_DAYS, Gathered
from inference.shadow.comparison.rows import ROW, NothingToCompareError
from inference.shadow.comparison.sample import SAMPLED, Sample
from inference.shadow.comparison.tally import Tally, read_tally, weights_of
from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.candidate_join import prefix, read_similarity, tally_key
from inference.shadow.joining.partition_join import LAYOUT, PROGRESS, read_progress
from inference.shadow.statistics.similarity import Similarity
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.topic_partitions import partitions_of
from streams.loop.stateless.state_topic import read_state

Entries = dict[bytes, bytes]


def read_evidence(kafka: KafkaSettings, topic: str) -> list[Entries]:
    """What is kept of each partition, by key.

    Raises:
        AuthorizationError: we may not read it.
        KafkaException: the cluster failed.
    """
    partitions = partitions_of(connect(kafka), [topic]).get(topic, 0)
    return [read_state(kafka, topic, each, Event()) for each in range(partitions)]


def gather(name: str, parts: Iterable[ItemsView[bytes, bytes] | Entries], terms: Terms) -> Gathered:
    """Put together what partitions have of a candidate.

    Where one of them is at another pairing still, or already, the latest counts.

    Raises:
        NothingToCompareError: none has anything, or by other terms than these.
    """
    try:
        entries = [each for each in (dict(part) for part in parts) if _is_ours(each)]
        found = [
            (read_tally(each[tally_key(name)]), each) for each in entries if tally_key(name) in each
        ]
    except ValueError as error:
        raise NothingToCompareError(
            "the shadow's evidence is not as Weir writes it; start `weir shadow` anew, which "
            f"begins it anew: {error}"
        ) from error
    if not found:
        raise NothingToCompareError(
            f"candidate {name!r} has said nothing yet: is `weir shadow` running, and does it "
            "answer? Its metric weir_shadow_candidate_answering and its log say so"
        )
    latest = max((tally for tally, _ in found), key=lambda tally: tally.latest)
    if latest.terms != terms.digest:
        raise NothingToCompareError(
            f"candidate {name!r} was judged by other settings of [comparison], labels.delay or "
            "feature_log.include than these: start `weir shadow` anew with these settings, and "
            "evidence begins anew"
        )
    pairing = latest.between, latest.terms
    ours = [(tally, each) for tally, each in found if (tally.between, tally.terms) == pairing]
    whole = Tally(*pairing)
    for tally, _ in ours:
        whole += tally
    waiting = _rows([each for _, each in ours], prefix("w", name), ROW)
    waiting = waiting[np.argsort(waiting["time"], kind="stable")]
    marks = [read_progress(each[PROGRESS]).watermark for each in entries]
    known = [each for each in marks if each is not None]
    return Gathered(
        whole,
        _recent([each for _, each in ours], prefix("d", name)),
        Sample.of(
            [
                (bool(label), tally.doublings[label], _rows([each], _of(label, name), SAMPLED))
                for tally, each in ours
                for label in (0, 1)
            ]
        ),
        waiting["time"],
        weights_of(waiting),
        min(known) if known else None,
    )


def _is_ours(entries: Entries) -> bool:
    """Whether this version of Weir has written what is kept of a partition."""
    return PROGRESS in entries and read_progress(entries[PROGRESS]).layout == LAYOUT


def _of(label: int, name: str) -> bytes:
    return prefix(str(label), name)


def _rows(parts: list[Entries], start: bytes, dtype: np.dtype[np.void]) -> np.ndarray:
    chunks = [np.empty(0, dtype)]
    for each in parts:
        keys = sorted(key for key in each if key.startswith(start))
        chunks += [np.frombuffer(each[key], dtype) for key in keys]
    return np.concatenate(chunks)


def _recent(parts: list[Entries], start: bytes) -> Similarity:
    days = [
        (int(key[len(start) :]), value)
        for each in parts
        for key, value in each.items()
        if key.startswith(start)
    ]
    last = max((day for day, _ in days), default=0)
    whole = Similarity()
    for day, value in days:
        if day > last - RECENT_DAYS:
            whole += read_similarity(value)
    return whole
