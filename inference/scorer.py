"""The scorer: one transaction's events in, their scores, feature log and dead letters out."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from time import perf_counter, time

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.engine import Engine, Outputs
from inference.metrics import ScorerMetrics
from inference.policy import DECISIONS, Policy
from streams.contract import EventContract
from streams.dead_letters import dead_letter
from streams.feature_log import FeatureLogWriter, ScoredEvents
from streams.features.dumps import CorruptStateError
from streams.features.dumps import StateMismatchError as WrongState
from streams.features.plan import FeaturePlan
from streams.features.state import FeatureRows, FeatureState, WindowSettings
from streams.intake import Work
from streams.task import Answers, StateMismatchError
from streams.topics import TopicSettings
from streams.transactor import Committed, Outgoing

DEAD_LETTER_BYTES = 1_000_000
FEATURE_LOG_BYTES = 900_000
"""Records of the two stay below what a topic takes that others have made: the broker's refusal
would void the transaction, and the same one again, for ever."""

_ARROW_TYPES = {"int": pa.int64(), "string": pa.string()}


class Timings(msgspec.Struct, gc=False):
    """When and how fast a batch of events was answered."""

    scored: int
    batch: int
    decode_us: int
    features_us: int
    inference_us: int


class Score(msgspec.Struct, gc=False):
    """One record of ``weir.scores``; times are UTC milliseconds.

    ``arrived`` is the event's Kafka timestamp; ``late`` and ``approximate`` say that its windows
    may not be whole, see `streams.features.FeatureRows`.
    """

    event_id: int | str
    key: int | str
    event_time: int
    score: float
    probability: float
    anomaly: float
    decision: str
    model: str
    policy: str
    feature_schema: str
    arrived: int
    timings: Timings
    late: bool = False
    approximate: bool = False


class Scorer:
    """A `streams.task.Task`: feature windows, model and policy for one stream.

    Args:
        engine: answers feature vectors in the order of `plan.names`.
        model: id of its package.
    """

    def __init__(
        self,
        contract: EventContract,
        plan: FeaturePlan,
        windows: WindowSettings,
        engine: Engine,
        model: str,
        policy: Policy,
        topics: TopicSettings,
        metrics: ScorerMetrics,
    ) -> None:
        self._contract = contract
        self._plan = plan
        self._windows = windows
        self._new_state: Callable[[], FeatureState] = lambda: FeatureState(plan, windows)
        self._state = self._new_state()
        self._engine = engine
        self._model = model
        self._policy = policy
        self._schema = plan.schema_hash
        self._topics = topics
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode
        self._feature_log = FeatureLogWriter(
            plan.names,
            _ARROW_TYPES[contract.fields[contract.id].type],
            _ARROW_TYPES[contract.fields[contract.key].type],
            DECISIONS,
            {"model": model, "policy": policy.version, "feature_schema": plan.schema_hash,
             "events_topic": topics.events},
        )  # fmt: skip
        metrics.model.labels(model, policy.version, plan.schema_hash).set(1)

    def warm_up(self) -> None:
        """Make ready what is slow the first time: kernels compile for seconds on a new machine."""
        self._new_state().warm_up()
        self._engine.warm_up()

    @property
    def memory_ms(self) -> int:
        """How far back the windows look, lateness included."""
        return self._plan.history_ms + self._windows.allowed_lateness

    def reset(self) -> None:
        """Forget all windows."""
        self._state = self._new_state()

    def mark(self) -> None:
        """Remember the windows as they are now."""
        self._state.mark()

    def release(self) -> None:
        """Forget the oldest mark."""
        self._state.release()

    def undo(self) -> None:
        """Go back to the oldest mark."""
        self._state.undo()

    def dump(self) -> Sequence[bytes | memoryview]:
        """The windows as bytes."""
        return self._state.dump()

    def load(self, buffers: Sequence[memoryview]) -> None:
        """Replace the windows by what was dumped."""
        try:
            self._state = FeatureState.load(self._plan, self._windows, buffers)
        except (WrongState, CorruptStateError) as error:
            raise StateMismatchError(str(error)) from error

    def check(self) -> None:
        """Answer the feature vector of nothing."""
        self._engine.infer(np.zeros((1, len(self._plan.names)), np.float32))

    def restore(self, work: Work) -> None:
        """Take answered events into the windows."""
        self._state.update(work.events, work.labels)
        self._metrics.restored.inc(len(work.events))

    def process(self, work: Work) -> Answers:
        """Answer a batch: scores in order, one feature log record per partition, dead letters."""
        start = perf_counter()
        rows = self._state.update(work.events, work.labels)
        features = rows.matrix.astype(np.float32)
        featured = perf_counter()
        outputs = self._engine.infer(features)
        decisions = self._policy.decide(outputs)
        inferred = perf_counter()
        stages = {
            "decode": work.decode_s,
            "features": featured - start,
            "inference": inferred - featured,
        }
        outgoing = [
            self._scores(work, rows, outputs, decisions, stages),
            self._log_features(work, rows, features, outputs, decisions),
        ]
        if work.bad:
            outgoing.append(self._dead_letters(work))
        stages["encode"] = perf_counter() - inferred
        counts = np.bincount(decisions, minlength=len(DECISIONS)).tolist()
        flagged = (int(rows.late.sum()), int(rows.approximate.sum()))
        return Answers(outgoing, partial(self._count, work, counts, flagged, stages))

    def aborted(self, reason: str) -> None:
        """Count it."""
        self._metrics.transactions.labels("aborted").inc()

    def _count(
        self,
        work: Work,
        decided: list[int],
        flagged: tuple[int, int],
        stages: dict[str, float],
        committed: Committed,
    ) -> None:
        """Count what is now visible to consumers."""
        metrics = self._metrics
        metrics.events.inc(len(work.events))
        metrics.labels.inc(len(work.labels))
        metrics.late.inc(flagged[0])
        metrics.approximate.inc(flagged[1])
        for name, count in zip(DECISIONS, decided, strict=True):
            metrics.decisions.labels(name).inc(count)
        for bad in work.bad:
            metrics.dead_letters.labels(bad.rejected.reason.value).inc()
        metrics.transactions.labels("committed").inc()
        stages |= {"produce": committed.produce_s, "commit": committed.commit_s}
        for stage, seconds in stages.items():
            metrics.stage.observe(stage, seconds)
        metrics.batch.observe("events", float(len(work.events)))
        metrics.batch.observe("labels", float(len(work.labels)))
        metrics.latency.observe("end_to_end", np.maximum(time() - work.arrived / 1e3, 0.0))
        metrics.state_bytes.set(self._state.nbytes)
        for entity, count in self._state.entities.items():
            metrics.entities.labels(entity).set(count)
        for entity, count in self._state.dropped_events.items():
            metrics.forgotten.labels(entity).set(count)
        for entity, count in self._state.evicted_entities.items():
            metrics.evicted.labels(entity).set(count)

    def _scores(
        self,
        work: Work,
        rows: FeatureRows,
        outputs: Outputs,
        decisions: NDArray[np.int8],
        stages: dict[str, float],
    ) -> Outgoing:
        timings = Timings(
            scored=round(time() * 1_000),
            batch=len(work.events),
            **{f"{stage}_us": round(seconds * 1e6) for stage, seconds in stages.items()},
        )
        # Column by column with C loops only: this is the most frequent code of all.
        records = map(
            Score,
            work.events.ids,
            work.events.keys,
            work.events.times.tolist(),
            *(column.tolist() for column in outputs),
            map(DECISIONS.__getitem__, decisions.tolist()),
            repeat(self._model),
            repeat(self._policy.version),
            repeat(self._schema),
            work.arrived.tolist(),
            repeat(timings),
            rows.late.tolist(),
            rows.approximate.tolist(),
        )
        return Outgoing(
            topic=self._topics.scores,
            values=list(map(self._encode, records)),
            keys=list(map(str.encode, map(str, work.events.keys))),
            partitions=work.partitions.tolist(),
        )

    def _log_features(
        self,
        work: Work,
        flags: FeatureRows,
        features: NDArray[np.float32],
        outputs: Outputs,
        decisions: NDArray[np.int8],
    ) -> Outgoing:
        at_once = max(1, FEATURE_LOG_BYTES // (features.itemsize * features.shape[1] + 128))
        values, partitions = [], []
        for partition in np.unique(work.partitions).tolist():
            all_rows = np.flatnonzero(work.partitions == partition)
            for first in range(0, all_rows.size, at_once):
                rows = all_rows[first : first + at_once]
                part = work.events.take(rows)
                scored = ScoredEvents(
                    ids=part.ids,
                    keys=part.keys,
                    times=part.times,
                    offsets=work.offsets[rows],
                    features=features[rows],
                    score=outputs.score[rows],
                    probability=outputs.probability[rows],
                    anomaly=outputs.anomaly[rows],
                    decision=decisions[rows],
                    late=flags.late[rows],
                    approximate=flags.approximate[rows],
                )
                values.append(self._feature_log.encode(scored))
                partitions.append(partition)
        return Outgoing(self._topics.feature_log, values, [None] * len(values), partitions)

    def _dead_letters(self, work: Work) -> Outgoing:
        now = round(time() * 1_000)
        letters = [
            dead_letter(bad.message, bad.rejected, now, DEAD_LETTER_BYTES) for bad in work.bad
        ]
        return Outgoing(
            topic=self._topics.dead_letters,
            values=[letter.value for letter in letters],
            keys=[letter.key for letter in letters],
            partitions=[-1] * len(letters),
            headers=[letter.headers for letter in letters],
        )
