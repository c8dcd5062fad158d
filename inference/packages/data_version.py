"""Which data a model was trained on, so that it can be trained on the very same again."""

from pydantic import Field

from streams.base.section import Section, format_duration


class Champion(Section):
    """What a model that answered let be known of its events.

    Attributes:
        rows: events that were trained on.
        censored: events that it declined, so that nobody knows what they were: left out.
    """

    rows: int
    censored: int


class DataVersion(Section):
    """What was read, and by which terms.

    Attributes:
        files: SHA-256 of each file by its name; those of an archive below its place.
        until: of an archive: up to which offset of each partition its tables were read, by
            ``TABLE/PARTITION``. What comes later, compaction too, does not change these rows.
        start, stop: span of event times, UTC milliseconds; None where it was open.
        label_delay: age in ms at which labels were taken.
        unlabelled_legitimate: whether a mature event without a label was taken for legitimate.
        champions: by the id of each model that answered, in an archive.
    """

    files: dict[str, str]
    until: dict[str, int] = Field(default_factory=dict)
    start: int | None = None
    stop: int | None = None
    label_delay: int = 0
    unlabelled_legitimate: bool = False
    champions: dict[str, Champion] = Field(default_factory=dict)

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
        for model, each in self.champions.items():
            every = each.rows + each.censored
            found.append(
                (
                    f"answered by {model[:12]}",
                    f"{every:,} events, of which it declined {each.censored:,} "
                    f"({each.censored / every:.2%}) that nobody can train on",
                )
            )
        return found
