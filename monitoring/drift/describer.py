"""Makes of what a detector has found what an episode says: kind, words, producer."""

from msgspec.structs import replace

from monitoring.breakage.kinds import Diagnosis, FeatureCounts, diagnose
from monitoring.breakage.magnitudes import dense
from monitoring.counting.model_bins import ANSWER, ModelBins
from monitoring.drift.detail_log import DetailLog
from monitoring.drift.detector import Moved
from monitoring.drift.finding import Finding
from monitoring.drift.words import describe
from monitoring.episodes.episode import MovedFeature


class Describer:
    """Describes the features of one model.

    Args:
        log: values by magnitude, and those that came again and again, by which kinds are told.
    """

    def __init__(self, bins: ModelBins, log: DetailLog) -> None:
        self._bins = bins
        self._log = log

    def __call__(self, found: list[Finding]) -> MovedFeature:
        """Say what has become of one feature, by what was found of it against each reference.

        What was found against the training comes first, and is described.
        """
        first = found[0]
        edges, diagnosis = self._bins.histograms[first.feature].edges, None
        if first.reference == "training":
            diagnosis = self._diagnosed(first.feature, first.moved)
        described = describe(first.name, first.moved, edges, diagnosis)
        words = described.words
        if first.reference == "promotion":
            words += ", against the model's first days"
        return replace(
            described,
            words=words,
            importance=self._bins.importance[first.feature],
            references=tuple(each.reference for each in found),
            segment=first.segment,
        )

    def _diagnosed(self, name: str, moved: Moved) -> Diagnosis | None:
        histogram = self._bins.histograms[name]
        if name.startswith(ANSWER) or not histogram.magnitudes:
            return None
        found = self._log.of(moved.feature, moved.since)
        feature = FeatureCounts(
            name,
            histogram,
            dense(histogram.magnitudes),
            found.magnitudes,
            found.repeated,
            by_producer=found.by_producer,
        )
        return diagnose(feature, moved.since, True)
