"""From flagged events to the bytes of their explanation records."""

from explain.lime.settings import ExplainSettings
from explain.reasons.background_stats import background_stats_of
from explain.reasons.catalogue import Catalogue
from explain.reasons.reason_writer import ReasonWriter
from explain.record.parts import AnswersPart
from explain.record.reason_settings import ReasonSettings
from explain.record.record import build_record, canonical, record_id
from explain.writing.event_parts import EventParts
from explain.writing.feature_facts import facts_of, units_of
from explain.writing.flagged import FlaggedEvents
from explain.writing.methods import method_for
from explain.writing.part_builders import (
    catalogue_part,
    explanation_part,
    feature_parts,
    finite,
    model_part,
)
from inference.engine.protocol import FeatureSelection
from inference.packages.package import ModelPackage


class RecordWriter:
    """Explains the answers of one package; the same event gives the same bytes, everywhere.

    Args:
        package: the model.
        number: its version in the registry, if known.
        event_of: says which event a record is of.

    Raises:
        ExplainError: settings, catalogue and package do not fit each other.
    """

    def __init__(
        self,
        package: ModelPackage,
        number: int | None,
        *,
        explain: ExplainSettings,
        reasons: ReasonSettings,
        catalogue: Catalogue,
        event_of: EventParts,
    ) -> None:
        self._package, self._number = package, number
        self._method = method_for(package, explain, reasons)
        self._names = package.features.names
        self._typical = background_stats_of(package.background)
        self._facts = facts_of(package.features.definitions)
        groups = self._method.groups
        self._groups = tuple(groups)
        self._reasons = ReasonWriter(
            catalogue,
            groups,
            names=self._names,
            typical=self._typical,
            units=units_of(package.features.definitions),
            settings=reasons,
        )
        self._catalogue = catalogue_part(catalogue)
        self._event_of = event_of

    def warm_up(self) -> None:
        """Make ready what is slow the first time."""
        self._method.warm_up()

    def write(self, events: FlaggedEvents) -> list[tuple[str | None, bytes]]:
        """Return the token of the key and the record of each event, in their order.

        Raises:
            EngineError: the model reads a feature that was not computed.
            ExplainError: the method has no explanation for an event.
            KeyRingError: the key ring can't be written.
        """
        features = FeatureSelection(self._names, events.names)(events.features)
        model = model_part(self._package, self._number, events.backend, events.precision)
        named = [self._event_of(events, i) for i in range(len(events))]
        ids = [record_id(event, self._package.id) for event in named]
        explanations = self._method.explain(features, ids)
        written = []
        for i, explanation in enumerate(explanations):
            record = build_record(
                event=named[i],
                decision=events.decisions[i],
                answers=AnswersPart(
                    score=finite(events.score[i]),
                    probability=finite(events.probability[i]),
                    anomaly=finite(events.anomaly[i]),
                    log_odds=finite(explanation.log_odds),
                ),
                model=model,
                features=feature_parts(self._names, features[i], self._typical, self._facts),
                explainer=self._method.part,
                explanation=explanation_part(explanation, self._groups),
                reasons=self._reasons.reasons(explanation, features[i]),
                catalogue=self._catalogue,
            )
            written.append((record.event.key, canonical(record)))
        return written
