"""What is said of an episode, in a few words, and what to do about it."""

from typing import NamedTuple

from monitoring.episodes.episode import Episode, MovedFeature, WorseFigure
from streams.base.clock import now_ms
from weir.cli.dates import moment

_MOST_NAMED = 8


class Meaning(NamedTuple):
    """What a kind of episode means.

    Attributes:
        said: in a sentence.
        steps: what to do; {id} is the episode's.
        runbook: the file that says more.
    """

    said: str
    steps: tuple[str, ...]
    runbook: str


_BREAKAGE = Meaning(
    "Data is broken: what the model is fed is not what it learned from.",
    (
        "Ask whoever sends these fields what they changed then; where a producer is named, that "
        "one first.",
        "Until it is mended: is the model better than the policy's fallback for these events?",
        "Do not retrain on such data.",
        'Say that you look after it: weir drift ack {id} --note "…"',
    ),
    "docs/runbooks/data-breakage.md",
)
_SHIFT = Meaning(
    "Events are of another kind than those that the model learned from. That need not make the "
    "model worse.",
    (
        'A campaign, a season, a new market? Say so: weir drift ack {id} --note "…"',
        "Watch how well the model does: weir performance",
        "Where it is to stay: train on newer events, and weir drift close {id}",
    ),
    "docs/runbooks/covariate-shift.md",
)
_LOSS = Meaning(
    "The model does worse than it did: by labels, or by estimates where there are none yet.",
    (
        "Is data broken as well? That comes first: weir drift status",
        "Which cohort? weir performance",
        "Is there a candidate that is better now? weir shadow compare",
        "Train on newer events, and try that in the shadow: weir train, weir shadow add",
    ),
    "docs/runbooks/performance-loss.md",
)
_ADVERSARY = Meaning(
    "This looks like somebody who finds out what passes.",
    (
        "Which keys? weir explanation find shows their decisions.",
        "A stricter policy at once, which takes no restart: weir policy set",
        "Keep the evidence: records and dead letters.",
    ),
    "docs/runbooks/adversary.md",
)
MEANINGS = {
    "data_breakage": _BREAKAGE,
    "covariate_shift": _SHIFT,
    "performance_loss": _LOSS,
    "adversary": _ADVERSARY,
}


def meaning_of(episode: Episode) -> Meaning:
    """What its kind means, with its own id in the steps."""
    meaning = MEANINGS[episode.kind]
    steps = tuple(each.replace("{id}", episode.id) for each in meaning.steps)
    return meaning._replace(steps=steps)


def state_of(episode: Episode) -> str:
    """Whether it goes on, and who looks after it."""
    if episode.state == "closed":
        return f"over since {moment(episode.ended, 's')}"
    if episode.snoozed_until is not None and episode.snoozed_until > now_ms():
        return f"snoozed until {moment(episode.snoozed_until, 's')}"
    if episode.acknowledged_by is not None:
        return f"acknowledged by {episode.acknowledged_by}"
    return "open"


def back_of(moved: MovedFeature | WorseFigure) -> str:
    """Since when it is as before; nothing while it is not."""
    if moved.back is not None:
        return f"back since {moment(moved.back, 's')}"
    if isinstance(moved, MovedFeature) and moved.remembers is not None:
        whole = moment(moved.remembers, "s")
        return f"its field is whole again since {whole}, its window still remembers"
    return ""


def together_of(episode: Episode) -> str:
    """What moved in the same events, in a sentence; nothing where that is not known."""
    found = episode.together
    if found is None:
        return ""
    if not found.features:
        return (
            f"by all features at once, {found.vectors} events of now can't be told from those of "
            "the training"
        )
    names = [f"{name} ({part:.0%})" for name, part in found.features[:_MOST_NAMED]]
    more = len(found.features) - len(names)
    told = f"{found.share:.0%} of {found.vectors} events of now are told from those of the training"
    return (
        f"by all features at once, {told} (AUC {found.auc:.2f} ± {2 * found.error:.2f}): moved "
        "together: " + ", ".join(names) + (f" and {more} more" if more else "")
    )
