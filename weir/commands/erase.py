"""`weir erase`: what of somebody can be taken out at once, what goes by itself, and when."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from confluent_kafka.admin import AdminClient
from rich.table import Table

from explain.store.people.redaction import RedactionPlan
from streams.base.clock import now_ms
from streams.base.section import format_duration
from streams.dead_letters.erase import ErasePlan, Eraser
from streams.dead_letters.mentions import Mentions
from streams.dead_letters.reader import DeadLetterReader
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from streams.kafka.topics.retention import retention_of
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, progress_bar, stdout
from weir.cli.dates import moment
from weir.cli.dead_letter_options import YesOption
from weir.commands.erase_windows import WindowEraser
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.commands.explanations.record_erasure import erase_records
from weir.commands.explanations.tokens import FieldOption, ValueArgument, erase_token, identifier_of
from weir.config.settings import Settings, load_settings
from weir.services.wiring import admitted, usage

_HELD = "stays, since the records under hold are found by it: erase again once they are released"


@dataclass(frozen=True)
class Remaining:
    """What stays, and until when.

    Attributes:
        where: a topic, or another place.
        holds: what of him.
        ends: by what it goes, in words.
    """

    where: str
    holds: str
    ends: str


def erase(
    value: ValueArgument,
    field: FieldOption = None,
    yes: YesOption = False,
    by: ByOption = None,
    note: NoteOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Erase somebody: what can go at once, and what goes by itself, and when.

    Without --yes nothing is changed. Scorers forget the windows of the identifier, and take its
    events for those of somebody new from a minute on. The explanation records in the store are
    emptied, but for those under a legal hold; dead letters that mention the identifier are taken
    out; and the key of its token is destroyed, unless records under a hold have to be found by it.
    What other topics hold goes by their retention, which the list shows. See docs/personal-data.md.
    """
    settings = load_settings(config)
    field = field or settings.event.key
    identifier = identifier_of(settings, field, value)
    windows = WindowEraser(settings, by)
    needed = acls_of(Process.ERASER, usage(settings))
    kafka, admin = admitted(settings, lambda _: needed)
    box = DeadLetterReader(kafka, settings.topics.dead_letters)
    mentions = Mentions(field, str(identifier), is_key=field == settings.event.key)
    eraser = Eraser(box, admin, mentions, Mentions.unreadable)
    show = not (as_json or no_progress)
    # Records are found by the token, so they go before it.
    with progress_bar("verifying the store", show and yes) as step:
        records = erase_records(settings, field, identifier, yes=yes, by=by, note=note, step=step)
    with named_denials(kafka, needed), progress_bar("reading dead letters", show) as step:
        plan = eraser.run(step) if yes else eraser.plan(step)
        known = windows.looks_at(field)
        count_from = windows.erase(kafka, admin, field, identifier) if yes and known else None
    held = records is not None and records.held > 0
    token = _HELD if held else _token(settings, field, identifier, yes, by, note)
    left = _remaining(settings, admin, plan, records)
    if as_json:
        print_json(
            {
                "field": field,
                "erased": yes,
                "windows": {"known": known, "count_from": count_from},
                "dead_letters": plan.letters,
                "records": None if records is None else asdict(records),
                "token": token,
                "remaining": [asdict(each) for each in left],
            }
        )
        return
    stdout.print(f"windows of this {field}: {_windows(known, count_from)}")
    done = "taken out" if yes else "would be taken out; --yes does it"
    stdout.print(f"dead letters that mention this {field}: {plan.letters:,} {done}")
    stdout.print(f"explanation records in the store: {_emptied(records, yes)}", soft_wrap=True)
    stdout.print(f"its token: {token}", soft_wrap=True)
    stdout.print(_table(left))


def _windows(known: bool, count_from: int | None) -> str:
    if not known:
        return "there are none: no feature looks at it"
    if count_from is None:
        return "would be forgotten; --yes does it"
    return f"forgotten; its events count again from {moment(count_from, 's')} UTC on"


def _emptied(records: RedactionPlan | None, yes: bool) -> str:
    if records is None:
        return "none that a token leads to"
    done = "emptied" if yes else "would be emptied; --yes does it"
    if not records.held:
        return f"{records.records:,} {done}"
    holds = ", ".join(map(str, records.held_by))
    return f"{records.records:,} {done}; {records.held:,} kept, under hold {holds}"


def _token(
    settings: Settings, field: str, identifier: int | str, yes: bool, by: str | None, note: str
) -> str:
    if settings.explain.key_ring is None:
        return "there is none: explain.key_ring names no key ring"
    known, erased = erase_token(settings, field, identifier, yes=yes, by=by, note=note)
    if not known:
        return "there is none"
    if not erased:
        return "would be made unlinkable; --yes does it"
    return "can't be linked any more; erase it from copies of the key ring, too"


def _remaining(
    settings: Settings, admin: AdminClient, plan: ErasePlan, records: RedactionPlan | None
) -> list[Remaining]:
    topics = settings.topics
    holds = {
        topics.events: "whole events",
        topics.labels: "event ids, and what they were",
        topics.scores: "key, event id, answers",
        topics.feature_log: "key, event id, features",
        topics.explanations: "token, event id, values",
        topics.shadow_scores: "key, event id, answers of candidates",
    }
    kept = retention_of(admin, holds)
    left = [Remaining(topic, what, _end(topic, kept)) for topic, what in holds.items()]
    reach = settings.plan().history_ms + settings.windows.allowed_lateness
    left.append(
        Remaining(
            f"windows of others, and old ones in {topics.snapshots}",
            "what its events added to them, without it",
            f"{format_duration(reach)} after its last event; snapshots as they are compacted",
        )
    )
    store = "the store of explanations"
    left.append(
        Remaining(store, "of emptied records: id, time, outcome, model", "`weir audit purge`")
    )
    if records is not None and records.held:
        what = f"{records.held:,} whole records, under hold"
        left.append(Remaining(store, what, "`weir audit hold release`, then this again"))
    if plan.unread:
        left.append(
            Remaining(
                topics.dead_letters,
                f"{plan.unread:,} letters whose record can't be looked into",
                "`weir dead-letters purge`",
            )
        )
    return left


def _end(topic: str, kept: dict[str, int | None]) -> str:
    if topic not in kept:
        return "unknown: the topic is not there, or we may not see its settings"
    retention = kept[topic]
    if retention is None:
        return "never: set retention.ms on this topic"
    return f"by {moment(now_ms() + retention, 's')} UTC (retention {format_duration(retention)})"


def _table(left: Sequence[Remaining]) -> Table:
    table = Table("where", "what stays of it", "until")
    for each in left:
        table.add_row(each.where, each.holds, each.ends)
    return table
