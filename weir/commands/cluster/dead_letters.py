"""`weir dead-letters`: what was rejected, why, and what to do about it."""

import heapq
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any

import typer
from confluent_kafka.admin import AdminClient

from streams.dead_letters.purge import plan_purge
from streams.dead_letters.purge import purge as purge_letters
from streams.dead_letters.reader import (
    DeadLetterReader,
    Marks,
    RecordAddress,
    Selection,
    StoredDeadLetter,
)
from streams.dead_letters.requeue import Requeuer
from streams.kafka.rights.acl import Acl
from streams.kafka.rights.acls import Usage, acls_of, requeue_acls
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from weir.cli.console import (
    FAILED,
    STOPPED,
    ConfigOption,
    JsonOption,
    QuietOption,
    print_json,
    progress_bar,
    stdout,
)
from weir.cli.dead_letter_options import (
    FromOption,
    IdOption,
    KeyOption,
    PartitionOption,
    ReasonOption,
    RequeuedOption,
    ToOption,
    TopicOption,
    YesOption,
    parse_place,
)
from weir.cli.dead_letter_options import selection as make_selection
from weir.cli.dead_letter_view import (
    Counts,
    as_json,
    letters_table,
    say_foreign,
    say_requeued,
    show_letter,
)
from weir.config.settings import load_settings
from weir.services.stopping import stop_on_signals
from weir.services.wiring import admitted, usage

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Look at rejected records, send them again, or delete them.\n\n"
    "A record that is no event, or that can't be answered, goes to the dead-letter topic with the "
    "reason; the stream goes on. The usual way: `list` tells what came in and why; `show` one "
    "record; the producer or the contract in `weir.toml` is fixed; `requeue` sends the records "
    "through the scorer again; `purge` deletes what is done with.\n\n"
    "A record's id is where it stands: TOPIC/PARTITION/OFFSET.",
)


@dataclass
class _Desk:
    """The letters, and how their reading is shown."""

    box: DeadLetterReader
    usage: Usage
    admin: AdminClient
    show_progress: bool

    def marks(self) -> Marks:
        with progress_bar("reading what was requeued", self.show_progress) as step:
            return self.box.marks(step)


def _open(
    config: Any,
    as_json: bool,
    no_progress: bool,
    needed: Callable[[Usage], Iterable[Acl]] = partial(acls_of, Process.LETTERS),
) -> _Desk:
    settings = load_settings(config)
    kafka, admin = admitted(settings, needed)
    box = DeadLetterReader(kafka, settings.topics.dead_letters)
    return _Desk(box, usage(settings), admin, not (as_json or no_progress))


@app.command("list")
def list_letters(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    key: KeyOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    ids: IdOption = None,
    requeued: RequeuedOption = None,
    limit: Annotated[
        int, typer.Option(min=0, help="List the latest so many dead letters; all are counted.")
    ] = 20,
    as_json_: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Count letters by reason, and list the latest.

    Every option narrows the choice: `weir dead-letters list --reason too_long --from 2026-11-05`.
    The reasons are explained in docs/events.md.
    """
    selection = make_selection(reason, topic, partition, key, start, stop, ids, requeued)
    desk = _open(config, as_json_, no_progress)
    marks = desk.marks()
    counts = Counts()
    latest: list[tuple[int, RecordAddress, StoredDeadLetter]] = []
    with progress_bar("reading letters", desk.show_progress) as step:
        for stored in desk.box.letters(marks, selection, step):
            counts.count(stored)
            heapq.heappush(latest, (stored.letter.at_ms, stored.place, stored))
            if len(latest) > limit:
                heapq.heappop(latest)
    shown = [stored for _, _, stored in sorted(latest)]
    if as_json_:
        by_reason = {reason: asdict(count) for reason, count in counts.by_reason.items()}
        print_json(
            {
                "topic": desk.box.topic,
                "letters": counts.letters,
                "foreign": desk.box.foreign,
                "by_reason": by_reason,
                "latest": [as_json(stored) for stored in shown],
            }
        )
        return
    say_foreign(desk.box)
    if not counts.letters:
        stdout.print("no such dead letters" if selection != Selection() else "no dead letters")
        return
    stdout.print(counts.table())
    if shown:
        stdout.print(letters_table(shown))
    if counts.letters > len(shown):
        stdout.print(f"the latest {len(shown):,} of {counts.letters:,}; --limit lists more")


@app.command()
def show(
    record: Annotated[
        str, typer.Argument(metavar="ID", help="TOPIC/PARTITION/OFFSET, as `list` shows it.")
    ],
    config: ConfigOption = None,
    size: Annotated[
        int, typer.Option("--bytes", min=0, help="Show so many bytes of the record.")
    ] = 2_000,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write only the record's own bytes to standard output.")
    ] = False,
    as_json_: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Show all about one letter: why, when, its history, its headers and its bytes.

    Bytes that are text are shown as text, others in hexadecimal. To look at them with a tool of
    yours: `weir dead-letters show ID --raw | jq .`
    """
    selection = Selection(places=frozenset([parse_place(record)]))
    desk = _open(config, as_json_ or raw, no_progress)
    marks = desk.marks()
    with progress_bar("looking for it", desk.show_progress) as step:
        found = list(desk.box.letters(marks, selection, step))
    if not found:
        raise ValueError(
            f"topic {desk.box.topic!r} holds no dead letter of {record}: `weir dead-letters list` "
            "shows the ids"
        )
    stored = found[-1]
    if raw:
        sys.stdout.buffer.write(stored.letter.value or b"")
    elif as_json_:
        print_json(as_json(stored))
    else:
        show_letter(stdout, stored, size)


@app.command()
def requeue(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    key: KeyOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    ids: IdOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many, the oldest of each partition first.")
    ] = None,
    to_topic: Annotated[
        str | None,
        typer.Option(
            "--to-topic",
            metavar="NAME",
            show_default=False,
            help="Send all there; else each to the topic and partition it came from.",
        ),
    ] = None,
    yes: YesOption = False,
    as_json_: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Send letters to their topic again, each once.

    Without --yes it only says what it would do. What it sends and what it has sent are committed
    in one Kafka transaction: stop it, kill it, start it twice, and no record is sent a second time;
    a letter that was requeued is passed over from then on. A record that is rejected again comes
    back as a new letter, with the earlier rejections as its history.

    A letter that holds only a part of its record (`partial` in `list`: it was too large for the
    dead-letter topic, or is a batch that nobody can read) can't be sent again; the exit code is
    then 1, and all others are sent.
    """
    selection = make_selection(reason, topic, partition, key, start, stop, ids, None)
    targets = [target] if (target := to_topic or topic) else None
    needed = partial(requeue_acls, targets=targets)
    desk = _open(config, as_json_, no_progress, needed)
    requeuer = Requeuer(desk.box, desk.admin, selection, to_topic, limit)
    run = partial(requeuer.run, stop_on_signals()) if yes else requeuer.plan
    with (
        named_denials(desk.box.kafka, needed(desk.usage)),
        progress_bar("reading what was requeued", desk.show_progress) as marks,
        progress_bar("requeuing" if yes else "reading letters", desk.show_progress) as letters,
    ):
        report = run(marks, letters)
    if as_json_:
        print_json({"done": yes, "total": report.total, **asdict(report)})
    else:
        say_foreign(desk.box)
        say_requeued(report, done=yes)
    if report.stopped:
        raise typer.Exit(STOPPED)
    if report.partial:
        raise typer.Exit(FAILED)


@app.command()
def purge(
    config: ConfigOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    key: KeyOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    ids: IdOption = None,
    requeued: RequeuedOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    yes: YesOption = False,
    as_json_: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Delete letters for good, the oldest first.

    Without --yes it only says what it would do. Kafka deletes records only from the beginning of a
    partition: so `--to TIME` and `--all` always go, and any other choice only if no letter outside
    it stands before one of its own; else nothing is deleted. The original records stay in their
    topics, as long as these keep them. Kafka frees the disk later, a segment at a time.
    """
    selection = make_selection(reason, topic, partition, key, start, stop, ids, requeued)
    if everything == (selection != Selection()):
        raise typer.BadParameter("choose dead letters, such as with --to TIME, or give --all")
    process = Process.PURGE if yes else Process.LETTERS
    desk = _open(config, as_json_, no_progress, partial(acls_of, process))
    with (
        progress_bar("reading what was requeued", desk.show_progress) as marks,
        progress_bar("reading letters", desk.show_progress) as letters,
    ):
        plan = plan_purge(desk.box, selection, marks, letters)
    if yes:
        purge_letters(desk.box, desk.admin, plan)
    if as_json_:
        print_json({"done": yes, **asdict(plan)})
        return
    say_foreign(desk.box)
    if not plan.letters:
        stdout.print("no such dead letters: nothing to delete")
        return
    verb = "deleted" if yes else "would delete"
    stdout.print(
        f"{verb} {plan.letters:,} dead letters, {plan.never_requeued:,} of them never requeued"
    )
    if not yes:
        stdout.print("nothing was done: --yes does it, and there is no way back")
