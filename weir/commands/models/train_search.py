"""`weir train --search`: settings that do best on earlier folds, shown to be kept."""

from dataclasses import asdict
from typing import Any

import tomli_w

from inference.packages.search_record import Trial
from inference.training.search.search import Chosen
from inference.training.training_set import TrainingSet
from weir.cli.console import stdout
from weir.cli.dates import moment
from weir.config.settings import Settings
from weir.training.registering import Progress
from weir.training.searching import search_before


class Searching:
    """A search that is shown as soon as it ends: what comes after it may fail.

    Attributes:
        chosen: what it came to; None before.
    """

    def __init__(
        self, settings: Settings, progress: Progress, as_json: bool, by_spark: bool
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._as_json = as_json
        self._by_spark = by_spark
        self.chosen: Chosen | None = None

    def __call__(self, data: TrainingSet, end: int) -> Chosen:
        """Search before a time; see `Choose`."""
        self.chosen = search_before(self._settings, data, end, self._progress, self._by_spark)
        if not self._as_json:
            _show(self.chosen)
        return self.chosen

    def described(self) -> dict[str, Any]:
        """For programs; nothing before it has ended."""
        if self.chosen is None:
            return {}
        said = self.chosen.record.model_dump(mode="json")
        best = asdict(self.chosen.best)
        return {"search": said | {"best": best, "parameters": _sections(self.chosen.best)}}


def _show(chosen: Chosen) -> None:
    record, best = chosen.record, chosen.best
    days = "…".join(moment(time, "s")[:10] for time in (record.start, record.stop - 1))
    by = {"trials": "", "time": ", ended by its time", "stop": ", stopped"}[record.ended]
    stdout.print(f"search: trials {record.trials}, folds {record.folds}, {days}{by}")
    metric = record.metric.replace("_", " ")
    failed = sum(bool(each.failed) for each in chosen.trials)
    as_set = "failed" if record.as_set is None else f"{record.as_set:.4f}"
    stdout.print(f"  {metric} {record.figure:.4f}; of the settings as they are {as_set}")
    if failed:
        why = next(each.failed for each in chosen.trials if each.failed)
        stdout.print(f"  {failed} failed, the first one so: {why}")
    if best.number:
        stdout.print(f"  trial {best.number} is the best; to keep it:")
        stdout.print(tomli_w.dumps({"training": _sections(best)}).strip(), markup=False)
    else:
        stdout.print("  nothing was better than the settings as they are")


def _sections(trial: Trial) -> dict[str, Any]:
    """What was searched, as tables below ``[training]``."""
    found: dict[str, Any] = {"family": trial.family}
    for key, value in trial.parameters.items():
        section, name = key.split(".")
        plain = float(f"{value:.6g}") if isinstance(value, float) else value
        found.setdefault(section, {})[name] = plain
    return found
