"""The scorer of the fused topology: windows of all entities beside the model."""

from collections.abc import Callable, Sequence
from time import perf_counter

from inference.serving.answerer import Answerer
from inference.serving.metrics import ScorerMetrics
from streams.features.dump_format import CorruptStateError
from streams.features.dump_format import DumpMismatchError as WrongState
from streams.features.plan import FeaturePlan
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import InputBatch
from streams.loop.task import Answers, StateMismatchError
from streams.transactions.outcome import Committed


class Scorer:
    """A `streams.loop.task.Task`: feature windows, and what answers by them.

    Args:
        answerer: answers feature vectors in the order of `plan.names`.
    """

    def __init__(
        self,
        plan: FeaturePlan,
        windows: WindowSettings,
        *,
        answerer: Answerer,
        metrics: ScorerMetrics,
    ) -> None:
        self._plan = plan
        self._windows = windows
        self._new_state: Callable[[], FeatureState] = lambda: FeatureState(plan, windows)
        self._state = self._new_state()
        self._answerer = answerer
        self._metrics = metrics

    def warm_up(self) -> None:
        """Make ready what is slow the first time: kernels compile for seconds on a new machine."""
        self._new_state().warm_up()

    @property
    def memory_ms(self) -> int:
        """How far back the windows look, lateness included."""
        return self._plan.history_ms + self._windows.allowed_lateness

    def reset(self) -> None:
        """Forget all windows."""
        self._state = self._new_state()

    def savepoint(self) -> None:
        """Remember the windows as they are now."""
        self._state.savepoint()

    def commit(self) -> None:
        """Forget the oldest mark."""
        self._state.commit()

    def rollback(self) -> None:
        """Go back to the oldest mark."""
        self._state.rollback()

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
        """Answer something known."""
        self._answerer.check()

    def restore(self, work: InputBatch) -> None:
        """Take answered events into the windows."""
        self._state.update(work.events, work.labels)
        self._metrics.restored.inc(len(work.events))

    def process(self, work: InputBatch) -> Answers:
        """Take a batch into the windows, and answer it."""
        start = perf_counter()
        rows = self._state.update(work.events, work.labels)
        answers = self._answerer.answer(work, rows, perf_counter() - start)

        def when_visible(committed: Committed) -> None:
            answers.when_visible(committed)
            self._metrics.count_transaction(committed)
            self._metrics.observe_state([self._state])

        return Answers(answers.outgoing, when_visible)

    def aborted(self, reason: str) -> None:
        """Count it."""
        self._metrics.transactions.labels("aborted").inc()
