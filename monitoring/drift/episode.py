"""Episodes of drift: what is said on the drift topic, once when one begins, changes and ends."""

from hashlib import sha256
from typing import Literal

import msgspec

from monitoring.counting.cell_counts import EpisodeAct

Kind = Literal["data_breakage", "covariate_shift", "adversary"]
Severity = Literal["warning", "page"]


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


class Episode(msgspec.Struct, frozen=True):
    """One episode: features of a model that moved while others of them still were away.

    Attributes:
        id: names it for good.
        model: ``all`` of what happened to the stream, whatever the model.
        kind: broken data where one feature is broken, else a changed world.
        state: whether it goes on.
        began: the earliest `since` of a feature; `found`: event time when it was found;
            `ended`: since when all are as before, or when somebody closed it. All ms.
        acts: what people said of it, in their order.
        snoozed_until: ms; nobody is to be called before.
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

    @property
    def away(self) -> list[str]:
        """The features that are not back."""
        return [each.name for each in self.features if each.back is None]


def new_id(model: str, found: int, feature: str) -> str:
    """The id of an episode: whoever finds the same gives it the same one."""
    return sha256(f"{model} {found} {feature}".encode()).hexdigest()[:12]


def after(episode: Episode, act: EpisodeAct) -> Episode:
    """The episode after somebody has said something of it."""
    acts = [*episode.acts, act]
    match act.deed:
        case "acknowledge":
            return msgspec.structs.replace(episode, acts=acts, acknowledged_by=act.by)
        case "snooze":
            return msgspec.structs.replace(episode, acts=acts, snoozed_until=act.until)
        case "close":
            return msgspec.structs.replace(episode, acts=acts, state="closed", ended=act.at)


ENCODE_EPISODE = msgspec.json.Encoder().encode
DECODE_EPISODE = msgspec.json.Decoder(Episode).decode
