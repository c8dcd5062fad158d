"""Which data a model was trained on, so that it can be trained on the very same again."""

from pydantic import Field

from streams.base.clock import utc
from streams.base.section import Section, format_duration
from streams.events.label_rules import LabelRule


class Champion(Section):
    """What a model that answered let be known of its events.

    Attributes:
        rows: events that were trained on.
        censored: events that it declined, so that nobody knows what they were: left out.
    """

    rows: int
    censored: int


class WeakLabels(Section):
    """Events that were trained on before their labels had come, by what rules said of them.

    Attributes:
        rules: as they were declared.
        true_positive, false_positive: the rates of each rule, as they were estimated.
        events: how many young events there were.
        known: of these, how many had a label early.
        frauds: how many frauds were expected among all of them.
        weight: how many labelled events they counted for, by the certainty of their chances.
        sha256: of the rows.
    """

    rules: tuple[LabelRule, ...]
    true_positive: tuple[float, ...]
    false_positive: tuple[float, ...]
    events: int = 0
    known: int = 0
    frauds: float = 0.0
    weight: float = 0.0
    sha256: str = ""


class DataVersion(Section):
    """What was read, and by which terms.

    Attributes:
        files: SHA-256 of each file by its name; those of an archive below its place.
        until: of an archive: up to which offset of each partition its tables were read, by
            ``TABLE/PARTITION``. What comes later, compaction too, does not change these rows.
        start, stop: span of event times, UTC milliseconds; None where it was open.
        label_delay: age in ms at which labels were taken.
        unlabelled_legitimate: whether a mature event without a label was taken for legitimate.
        left_out: spans of event times, UTC milliseconds, that were not read, as data were broken.
        champions: by the id of each model that answered, in an archive.
        weak: events without a label that were trained on besides.
    """

    files: dict[str, str]
    until: dict[str, int] = Field(default_factory=dict)
    start: int | None = None
    stop: int | None = None
    label_delay: int = 0
    unlabelled_legitimate: bool = False
    left_out: tuple[tuple[int, int], ...] = Field(default=(), exclude_if=lambda spans: not spans)
    champions: dict[str, Champion] = Field(default_factory=dict)
    weak: WeakLabels | None = Field(default=None, exclude_if=lambda weak: weak is None)

    @property
    def of_archive(self) -> bool:
        """Whether an archive was read, and not a file."""
        return bool(self.until)

    def facts(self) -> list[tuple[str, str]]:
        """What a reader should know of it: pairs of a name and a text."""
        found = [("labels", f"as known at an age of {format_duration(self.label_delay)}")]
        if not self.of_archive:
            return found
        found.insert(0, ("read from", f"an archive, {len(self.files):,} files"))
        found += [
            ("left out, as data were broken", f"{utc(start, 's')} to {utc(stop, 's')}")
            for start, stop in self.left_out
        ]
        for model, each in self.champions.items():
            every = each.rows + each.censored
            found.append(
                (
                    f"answered by {model[:12]}",
                    f"{every:,} events, of which it declined {each.censored:,} "
                    f"({each.censored / every:.2%}) that nobody can train on",
                )
            )
        if self.weak is not None:
            found.append(
                (
                    "weak labels",
                    f"{self.weak.events:,} young events by {len(self.weak.rules)} rules, worth "
                    f"{self.weak.weight:,.0f} labelled ones, {self.weak.frauds:,.0f} frauds "
                    "expected",
                )
            )
        return found
