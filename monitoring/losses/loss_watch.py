"""From days that partitions are through with to episodes of performance loss."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace as changed

from inference.shadow.comparison.terms import Terms
from monitoring.counting.cell_counts import CohortDays, EpisodeAct
from monitoring.episodes.episode import WHOLE_STREAM, Episode, WorseFigure, new_id
from monitoring.episodes.kept import Kept
from monitoring.episodes.ongoing import Ongoing
from monitoring.losses.model_losses import MODEL_LOSSES, ModelLosses
from monitoring.performance.cohorts.cohort import DAY, Group, read_cohort, terms_of
from monitoring.performance.watch import WatchTerms
from streams.loop.stateless.keyed_state import PartitionState

_DAYS, _LOSSES, _EPISODE = "losses:days", "losses:of:", "losses:episode:"
_BROKEN = "losses:breakages"
_REMEMBERED = 100
"""Episodes of broken data, the latest."""


class _Days(msgspec.Struct, frozen=True):
    """How far partitions are: the first days that are not over there, and not mature."""

    over: dict[int, int] = {}
    mature: dict[int, int] = {}


class _Broken(msgspec.Struct, frozen=True):
    """When data of a model, or of all, were broken; see `Episode.breakages`."""

    model: str
    spans: list[tuple[int, int | None]]

    def is_on(self, day: int) -> bool:
        """Whether any were, on a day."""
        return any(
            began < (day + 1) * DAY and (ended is None or ended > day * DAY)
            for began, ended in self.spans
        )


class LossWatch:
    """Watches all models; what it knows stands in the state, under keys that begin with `losses:`.

    A day on which data were broken is left out: who trains anew because of what a model made of it
    would learn nothing. The episode of the data has called people already.

    A day is looked at once all partitions are through with it. One that is silent, and not behind,
    holds up the others for a day at most: what it tells of earlier days then is left out.
    """

    def __init__(self, state: PartitionState, terms: Terms, said: WatchTerms) -> None:
        self._kept = kept = Kept(state)
        self._terms = terms
        self._own = terms_of(terms)
        self._said = said
        stored = kept.get(_DAYS)
        self._days = _Days() if stored is None else msgspec.json.decode(stored, type=_Days)
        broken = kept.get(_BROKEN)
        self._broken: dict[str, _Broken] = (
            {} if broken is None else msgspec.json.decode(broken, type=dict[str, _Broken])
        )
        self._losses: dict[Group, ModelLosses] = {}
        self._ongoing: dict[Group, Ongoing] = {}
        self._touched: set[Group] = set()
        for key in kept.names():
            if key.startswith(_LOSSES):
                known = MODEL_LOSSES.validate_json(kept.get(key) or b"")
                if known.terms != self._own:  # other costs, or another maturity
                    known = ModelLosses.begin(known.group, terms, said)
                self._have(known)

    @property
    def episodes(self) -> list[Episode]:
        """Those that go on."""
        return [each.episode for each in self._ongoing.values() if each.episode is not None]

    def take(
        self, record: CohortDays, holding: Collection[int], behind: Collection[int]
    ) -> list[Episode]:
        """Take in what a partition tells; what there is to say of episodes.

        Args:
            holding: partitions that hold events: without word of each, nothing is looked at.
            behind: those of which there is more to be counted.

        Raises:
            ValueError: it is not as Weir writes it; nothing has changed then.
        """
        parts = [(each, read_cohort(each.cohort)) for each in record.cohorts]
        for told, cohort in parts:
            if told.terms == self._own:
                group = Group(told.model, told.segment)
                known = self._losses.get(group)
                if known is None:
                    known = ModelLosses.begin(group, self._terms, self._said)
                self._know(known.further(told.day, cohort, told.mature, self._terms))
        self._days = _Days(
            self._days.over | {record.partition: record.over},
            self._days.mature | {record.partition: record.mature},
        )
        if not {*holding} <= self._days.over.keys():
            return []
        said = [
            *self._look_at_over(_until(self._days.over, behind)),
            *self._look_at_mature(_until(self._days.mature, behind)),
        ]
        # A model that answers no more is one that nobody has to train anew.
        for group, ongoing in self._ongoing.items():
            if ongoing.episode is None or not self._is_gone(group):
                continue
            said += self._say(group, [], (self._latest + 1) * DAY)
        return list({each.id: each for each in said}.values())

    def note(self, episodes: Iterable[Episode]) -> None:
        """Take note of when data are broken, of episodes that there is something new to say of."""
        for each in episodes:
            if spans := each.breakages:
                self._broken[each.id] = _Broken(each.model, spans)
            else:
                self._broken.pop(each.id, None)  # more events may say that the world has changed
        for key in list(self._broken)[:-_REMEMBERED]:
            del self._broken[key]

    def hear(self, act: EpisodeAct) -> Episode | None:
        """The episode after what somebody has said of it; None where it is not ours."""
        reached = (self._latest + 1) * DAY if self._losses else 0
        heard = (each.hear(act, reached) for each in self._ongoing.values())
        return next((each for each in heard if each is not None), None)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for group in self._touched:
            self._kept.put(_key(_LOSSES, group), MODEL_LOSSES.dump_json(self._losses[group]))
        self._touched.clear()
        self._kept.put(_DAYS, msgspec.json.encode(self._days))
        self._kept.put(_BROKEN, msgspec.json.encode(self._broken))

    def _have(self, losses: ModelLosses) -> None:
        group = losses.group
        self._losses[group] = losses
        if group not in self._ongoing:
            self._ongoing[group] = Ongoing(self._kept, _key(_EPISODE, group))

    def _know(self, losses: ModelLosses) -> None:
        self._have(losses)
        self._touched.add(losses.group)

    def _look_at_over(self, until: int) -> Iterator[Episode]:
        days = {day for each in self._losses.values() for day in each.over if day < until}
        for day in sorted(days):
            for group, known in list(self._losses.items()):
                if day in known.over:
                    broken = self._is_broken(group, day)
                    self._know(
                        known.leave_out(day)
                        if broken
                        else known.answer(day, self._terms, self._said)
                    )
                    yield from self._look(group, (day + 1) * DAY)

    def _look_at_mature(self, until: int) -> Iterator[Episode]:
        days = {day for each in self._losses.values() for day in each.mature if day < until}
        for day in sorted(days):
            for group, known in list(self._losses.items()):
                if day in known.mature:
                    broken = self._is_broken(group, day)
                    self._know(known.leave_out(day) if broken else known.ripen(day, self._said))
                    yield from self._look(group, (day + 1) * DAY + self._terms.maturity)

    def _is_broken(self, group: Group, day: int) -> bool:
        return any(
            each.model in (group.model, WHOLE_STREAM) and each.is_on(day)
            for each in self._broken.values()
        )

    @property
    def _latest(self) -> int:
        """The latest day of which any model answered events."""
        return max(each.answered for each in self._losses.values())

    def _is_gone(self, group: Group) -> bool:
        return self._losses[group].answered < self._latest

    def _look(self, group: Group, at: int) -> list[Episode]:
        gone = self._is_gone(group)
        return self._say(group, [] if gone else self._losses[group].worse(self._said), at)

    def _say(self, group: Group, worse: list[WorseFigure], at: int) -> list[Episode]:
        """The episode, if there is anything new to say of it, by what is worse now, at ms."""
        before = self._ongoing[group].episode
        if before is None:
            if not worse:
                return []
            episode = Episode(
                id=new_id(f"{group.model} {group.segment}", at, f"loss of {worse[0].name}"),
                model=group.model,
                kind="performance_loss",
                severity="page",
                state="open",
                began=min(each.since for each in worse),
                found=at,
                features=[],
                figures=worse,
            )
        else:
            episode = _followed(before, worse, at)
            if episode == before:
                return []
        self._ongoing[group].put(episode)
        return [episode]


def _followed(episode: Episode, worse: list[WorseFigure], at: int) -> Episode:
    """The episode after a day: figures join it, and are as they were."""
    now = {each.name: each for each in worse}
    figures = []
    for each in episode.figures:
        found = now.pop(each.name, None)
        if each.back is None and found is None:
            each = changed(each, back=at)
        elif each.back is not None and found is not None:
            each = found
        figures.append(each)
    episode = changed(episode, figures=[*figures, *now.values()])
    return episode if episode.away else changed(episode, state="closed", ended=at)


def _until(days: Mapping[int, int], behind: Collection[int]) -> int:
    """The first day that not all partitions are through with."""
    silent = max(days.values()) - 1
    return min(day if place in behind else max(day, silent) for place, day in days.items())


def _key(prefix: str, group: Group) -> str:
    return f"{prefix}{group.model}:{group.segment}"
