"""Episodes of drift: what is said on the drift topic, once when one begins, changes and ends."""

from hashlib import sha256
from typing import Literal

import msgspec

from monitoring.breakage.kind import Kind as BreakageKind
from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.moved_histogram import MovedHistogram
from monitoring.episodes.spans import united, united_past

Kind = Literal["data_breakage", "covariate_shift", "performance_loss", "adversary"]
Severity = Literal["warning", "page"]
Reference = Literal["training", "promotion"]
"""What a feature is compared with: the package's frozen reference, or what the stream was like in
the first days after the model's promotion."""
REFERENCES: tuple[Reference, ...] = ("training", "promotion")
Retraining = Literal["asked", "blocked"]
WHOLE_STREAM = "all"
"""In place of a model."""
_WHOLE = frozenset(each.value for each in BreakageKind if not each.is_breakage)
"""Kinds of change that leave data whole; a kind that nobody knows does not."""
_REMEMBERED = 100
"""Spans in which data were broken, the latest."""
_RETRAINING: dict[Kind, Retraining] = {"performance_loss": "asked", "data_breakage": "blocked"}


class MovedFeature(msgspec.Struct, frozen=True):
    """A feature or an answer that has moved, or something else that happened to the stream.

    Attributes:
        kind: what kind of change it is; see `monitoring.breakage.kinds.Kind`.
        producer: whose events it is in; None where it is not one's, or not known.
        since: the end of the last cell in which it may not have moved, ms.
        evidence: ln of the e-detector.
        psi: of the events since, against the reference; `events` of them.
        before, now: medians, as the bins have them; None where the median is a missing value. Of a
            silence, events that were expected and that came; of other things, shares.
        words: all that in a sentence.
        back: since when it is as before again, ms; None where it is not.
        importance: its part in what moves the model's answers, 1 for a middling one, or where that
            is not known.
        references: against which it has moved.
        segment: in which part of the stream, such as ``country=DE``; None for all of it.
        histogram: of these events, beside the reference; None in records of earlier versions.
        remembers: since when what it is made of is whole again, ms, and only its window remembers,
            or did until it was back; None where that is not so.
    """

    name: str
    since: int
    evidence: float
    psi: float
    events: int
    before: float | None
    now: float | None
    words: str
    kind: str
    producer: str | None = None
    back: int | None = None
    importance: float = 1.0
    references: tuple[Reference, ...] = ("training",)
    segment: str | None = None
    histogram: MovedHistogram | None = None
    remembers: int | None = None

    @property
    def is_broken(self) -> bool:
        """Whether its data are broken, and not another world's."""
        return self.kind not in _WHOLE

    @property
    def whole(self) -> int | None:
        """Since when its data are whole again, ms; None where they are not."""
        return self.back if self.remembers is None else self.remembers

    @property
    def rank(self) -> float:
        """How much it matters that it has moved: importance times effect."""
        return self.importance * self.psi


class Together(msgspec.Struct, frozen=True):
    """What moved in the same events, as a classifier of all features at once tells them apart.

    Attributes:
        auc: of telling events of now from those of the training, on events that it had not seen;
            .5 where nothing tells them apart. `error`: its standard error.
        share: of the events of now, those that it recognises.
        features: by what they tell, most first: name, and part of all that is told, 0 to 1.
        vectors: how many of now were looked at.
    """

    auc: float
    error: float
    share: float
    features: list[tuple[str, float]]
    vectors: int


class WorseFigure(msgspec.Struct, frozen=True):
    """A figure of a model's performance that is worse than at first.

    Attributes:
        name: ``cost``, ``recall`` or ``average_precision``, known by labels; ``estimated_cost`` or
            ``estimated_recall``, by probabilities.
        since: when that began, as far as can be told, ms.
        evidence: ln of the e-detector.
        found: the figure since then; `limit` would have been no loss.
        words: all that in a sentence.
        back: since when it is as before again, ms; None where it is not.
    """

    name: str
    since: int
    evidence: float
    found: float
    limit: float
    words: str
    back: int | None = None


class Episode(msgspec.Struct, frozen=True):
    """One episode: features of a model that moved while others of them still were away.

    Or figures of its performance that became worse.

    Attributes:
        id: names it for good.
        model: ``all`` of what happened to the stream, whatever the model.
        kind: broken data where one feature is broken, a worse model where its figures are worse,
            else a changed world.
        state: whether it goes on.
        began: the earliest `since` of a feature; `found`: event time when it was found;
            `ended`: since when all are as before, or when somebody closed it. All ms.
        acts: what people said of it, in their order.
        snoozed_until: ms; nobody is to be called before.
        figures: those that are worse; none of them where it is one of features.
        together: what moved in the same events; None while there are too few, or where it is not
            one of features.
        retraining: what it says of that while it is open: a worse model asks for it; broken data
            block it, since a model would learn them, until nothing is broken any more.
        broken_before: spans of event times, ms, in which features of it were broken that have
            become whole, and moved once more since.
    """

    id: str
    model: str
    kind: Kind
    severity: Severity
    state: Literal["open", "closed"]
    began: int
    found: int
    features: list[MovedFeature]
    ended: int | None = None
    acknowledged_by: str | None = None
    snoozed_until: int | None = None
    acts: list[EpisodeAct] = []
    figures: list[WorseFigure] = []
    together: Together | None = None
    retraining: Retraining | None = None
    broken_before: list[tuple[int, int]] = []

    def __post_init__(self) -> None:
        # Here, so that it follows the kind, also where that changes.
        said = _RETRAINING.get(self.kind)
        if said == "blocked" and self.mended is not None:
            said = None
        msgspec.structs.force_setattr(self, "retraining", said)

    @property
    def moved(self) -> list[MovedFeature | WorseFigure]:
        """All that it is about."""
        return [*self.features, *self.figures]

    @property
    def mended(self) -> int | None:
        """Since when no data are broken any more, ms; None where some are, or none were.

        What moved because of them may be away for longer, and so may windows that remember them.
        """
        broken = [each for each in self.features if each.is_broken]
        whole = [each.whole for each in broken if each.whole is not None]
        return max(whole) if whole and len(whole) == len(broken) else None

    @property
    def breakages(self) -> list[tuple[int, int | None]]:
        """Since when data were broken, and until when, ms, in their order.

        The end is None where they still are. Other features may have moved long before.
        """
        spans: list[tuple[int, int | None]] = [*self.broken_before]
        for each in self.features:
            if each.is_broken:
                spans.append((each.since, self.ended if each.whole is None else each.whole))
        if not self.features and self.kind == "data_breakage":
            spans.append((self.began, self.ended))
        return united(spans)

    @property
    def away(self) -> list[str]:
        """The features and figures that are not back."""
        return [each.name for each in self.moved if each.back is None]

    @property
    def words(self) -> str:
        """Of these, in a line."""
        return "; ".join(each.words for each in self.moved if each.back is None)


def new_id(model: str, found: int, feature: str) -> str:
    """The id of an episode: whoever finds the same gives it the same one."""
    return sha256(f"{model} {found} {feature}".encode()).hexdigest()[:12]


def with_features(episode: Episode, features: list[MovedFeature]) -> Episode:
    """The episode with features as they are now, of which some may have moved once more.

    One that was broken, became whole and moved anew was broken twice: of the first time it would
    say nothing any more. What was taken for broken data, and is known better now, never was.
    """
    since = {each.name: each.since for each in features}
    over = [
        (each.since, each.whole)
        for each in episode.features
        if each.is_broken and each.whole is not None and since.get(each.name) != each.since
    ]
    kept = united_past([*episode.broken_before, *over])[-_REMEMBERED:]
    return msgspec.structs.replace(episode, features=features, broken_before=kept)


def after(episode: Episode, act: EpisodeAct, reached: int) -> Episode:
    """The episode after somebody has said something of it.

    Args:
        reached: up to which event time the stream was looked at, ms: whoever closes an episode says
            that it was over by then. The clock on the wall says nothing of a stream that lags.
    """
    acts = [*episode.acts, act]
    match act.deed:
        case "acknowledge":
            return msgspec.structs.replace(episode, acts=acts, acknowledged_by=act.by)
        case "snooze":
            return msgspec.structs.replace(episode, acts=acts, snoozed_until=act.until)
        case "close":
            ended = max(reached, episode.found)
            return msgspec.structs.replace(episode, acts=acts, state="closed", ended=ended)


ENCODE_EPISODE = msgspec.json.Encoder().encode
DECODE_EPISODE = msgspec.json.Decoder(Episode).decode
