"""Searches the settings of a fraud model, on folds that lie before what judges it in the end."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple

from inference.packages.search_record import SearchRecord, Trial
from inference.training.prequential import Fold, between, check_testable, reaches, still_unknown
from inference.training.search.spaces import suggest
from inference.training.search.trial import (
    RunTrials,
    TrialResult,
    TrialRules,
    run_trials,
    write_rows,
)
from inference.training.settings import TrainingSettings
from inference.training.train import Progress
from inference.training.training_set import TrainingError, TrainingSet, checked_labels
from streams.base.clock import utc


class Chosen(NamedTuple):
    """What a search came to.

    Attributes:
        settings: those to train with.
        record: what the card says of it.
        trials: all of them, the settings as they were first.
    """

    settings: TrainingSettings
    record: SearchRecord
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial that was chosen."""
        return next(each for each in self.trials if each.figure == self.record.figure)


def search(
    data: TrainingSet,
    folds: list[Fold],
    delay: int,
    settings: TrainingSettings,
    k: int,
    progress: Progress,
    *,
    run: RunTrials = run_trials,
    at_once: int = 1,
    shared: Path | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Chosen:
    """Try settings until the trials or the time of ``training.search`` are used up; take the best.

    The settings as they are come first, so that the best is no worse than they on these folds.
    Then Optuna's TPE proposes (Bergstra et al., "Algorithms for Hyper-Parameter Optimization",
    2011), seeded. The same data, seed, number of trials and `at_once` give the same choice. A trial
    begins only if one of mean length would end in time.

    Args:
        data: rows of all folds, with their keys; others are not looked at.
        folds: nothing that judges the model in the end may lie in them.
        delay: of labels, in ms.
        k: cards a day for the card precision.
        run: runs trials.
        at_once: how many are proposed before the next ones learn from them.
        shared: a folder that whoever runs trials can read, for the rows of these folds; None where
            they run here.
        stopped: whether to end now; so does KeyboardInterrupt. With ``on_stop = "use_best"`` the
            best so far is taken then.

    Raises:
        TrainingError: a fold can't be trained or tested, or all trials failed.
        KeyboardInterrupt: it was stopped.
    """
    _check(data, folds, delay)
    with tempfile.TemporaryDirectory(prefix="weir-search-", dir=shared) as folder:
        table = Path(folder) / "rows.arrow"
        write_rows(data, between(data.times, folds[0].train_start, folds[-1].test_stop), table)
        rules = TrialRules(table, tuple(folds), delay, settings.search.metric, k)
        going = _Search(rules, settings, run, at_once, progress, stopped)
        ended: Literal["trials", "time", "stop"]
        try:
            ended = going.run()
        except KeyboardInterrupt:
            if settings.search.on_stop == "discard" or going.best is None:
                raise
            ended = "stop"
    return going.chosen(ended)


@dataclass
class _Tried:
    trial: Trial
    settings: TrainingSettings


class _Search:
    def __init__(
        self,
        rules: TrialRules,
        settings: TrainingSettings,
        run: RunTrials,
        at_once: int,
        progress: Progress,
        stopped: Callable[[], bool],
    ) -> None:
        self._rules = rules
        self._settings = settings
        self._asked = settings.search
        self._families = settings.search.families or (settings.family,)
        self._run = run
        self._at_once = at_once
        self._progress = progress
        self._stopped = stopped
        self._tried: list[_Tried] = []
        self._begun = monotonic()
        self.best: _Tried | None = None

    def run(self) -> Literal["trials", "time"]:
        """Try until something is used up.

        Raises:
            KeyboardInterrupt: we were stopped.
        """
        # Imported when needed: Optuna takes a second, and every command would pay it.
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=self._settings.seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        self._tell("the settings as they are")
        self._note([(self._settings, {})], self._run(self._rules, [self._settings]))
        while (done := len(self._tried) - 1) < self._asked.trials:
            if self._would_end_late():
                return "time"
            self._tell(f"trial {done + 1} of {self._asked.trials}")
            asks = [study.ask() for _ in range(min(self._at_once, self._asked.trials - done))]
            tries = [suggest(each, self._settings, self._families) for each in asks]
            results = self._run(self._rules, [settings for settings, _ in tries])
            self._note(tries, results)
            for each, result in zip(asks, results, strict=True):
                if result.failed:
                    study.tell(each, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(each, result.figure)
        return "trials"

    def chosen(self, ended: Literal["trials", "time", "stop"]) -> Chosen:
        """What is best of all that was tried.

        Raises:
            TrainingError: all of it failed.
        """
        trials = tuple(each.trial for each in self._tried)
        if self.best is None:
            raise TrainingError(f"each trial failed, the first one so: {trials[0].failed}")
        as_set = trials[0].figure
        record = SearchRecord(
            metric=self._asked.metric,
            figure=self.best.trial.figure,
            as_set=None if math.isnan(as_set) else as_set,
            trials=len(trials) - 1,
            families=self._families,
            folds=len(self._rules.folds),
            start=self._rules.folds[0].train_start,
            stop=self._rules.folds[-1].test_stop,
            ended=ended,
        )
        return Chosen(self.best.settings, record, trials)

    def _note(
        self,
        tries: list[tuple[TrainingSettings, dict[str, object]]],
        results: Sequence[TrialResult],
    ) -> None:
        for (settings, parameters), result in zip(tries, results, strict=True):
            trial = Trial(len(self._tried), settings.family, parameters, *result)
            tried = _Tried(trial, settings)
            self._tried.append(tried)
            if not result.failed and (self.best is None or result.figure > self.best.trial.figure):
                self.best = tried
        if self._stopped():
            raise KeyboardInterrupt

    def _would_end_late(self) -> bool:
        spent = monotonic() - self._begun
        rounds = 1 + (len(self._tried) - 1) / self._at_once
        return spent + spent / rounds > self._asked.time / 1_000

    def _tell(self, what: str) -> None:
        spent = monotonic() - self._begun
        left = max(0.0, self._asked.time / 60_000 - spent / 60)
        best = "" if self.best is None else f", best {self._said_best(self.best.trial)}"
        share = max(
            (len(self._tried) - 1) / self._asked.trials, spent * 1_000 / self._asked.time, 0.0
        )
        self._progress(f"{what}{best}, {left:.0f} min left at most", min(share, 1.0))

    def _said_best(self, trial: Trial) -> str:
        which = f"trial {trial.number}" if trial.number else "as set"
        return f"{self._asked.metric.replace('_', ' ')} {trial.figure:.4f} ({which})"


def _check(data: TrainingSet, folds: list[Fold], delay: int) -> None:
    """Look at all folds before the first trial."""
    labels = checked_labels(data)
    assert data.keys is not None
    if not reaches(data.times, folds):
        first = f"begin on {utc(int(data.times[0]))}" if len(labels) else "are none"
        raise TrainingError(
            f"the events {first}, and the {len(folds)} folds of the search need them from "
            f"{utc(folds[0].train_start)} on: set training.search.folds lower, or "
            "prequential.train and prequential.test shorter"
        )
    for place, fold in enumerate(folds):
        title = f"fold {place + 1} of {len(folds)} of the search"
        taught = labels[between(data.times, fold.train_start, fold.train_stop)]
        if not taught.any() or taught.all():
            raise TrainingError(
                f"{title}: it needs frauds and legitimate events to learn from, from "
                f"{utc(fold.train_start)} to {utc(fold.train_stop)}"
            )
        tested = still_unknown(labels, data.times, data.keys, fold, delay)
        check_testable(labels[tested], fold, title)
