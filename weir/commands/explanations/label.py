"""`weir label`: what an analyst found out about an event."""

from enum import StrEnum
from functools import partial
from typing import Annotated

import msgspec
import typer

from streams.base.clock import now_ms
from streams.events.labels import BY_HEADER, NOTE_HEADER, Label
from streams.kafka.records.publisher import Publisher
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.process import Process
from streams.kafka.topics.topic_partitions import TopicError, partitions_of
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import moment, parse_time_ms
from weir.cli.login import login_or
from weir.commands.explanations.audit_hold import ByOption, NoteOption
from weir.commands.explanations.tokens import identifier_of
from weir.config.settings import load_settings
from weir.services.wiring import admitted


class Verdict(StrEnum):
    """What an event was."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"


def label(
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT_ID", help="The event's id.", show_default=False)
    ],
    verdict: Annotated[
        Verdict, typer.Argument(metavar="fraud|legitimate", help="What it was.", show_default=False)
    ],
    by: ByOption = None,
    note: NoteOption = "",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            show_default="now",
            help="When it became known: 2018-07-25 or 2018-07-25T12:00, UTC. For events of former "
            "times, such as those of a replay.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an event was; models and metrics learn it from the labels topic.

    Who says so, and why, goes along in the record's headers. Of several verdicts on an event the
    latest counts, and the same one again changes nothing.
    """
    settings = load_settings(config)
    who = login_or(by)
    if not who.strip():
        raise typer.BadParameter("say who found it out", param_hint="--by")
    identifier = identifier_of(settings, settings.event.id, event_id)
    time_ms = now_ms() if at is None else parse_time_ms(at, "--at")
    topic = settings.topics.labels
    kafka, admin = admitted(settings, partial(acls_of, Process.LABELLER))
    if topic not in partitions_of(admin, [topic]):
        raise TopicError(f"there is no topic {topic!r}: `weir topics` makes it")
    value = msgspec.json.encode(Label(identifier, int(verdict is Verdict.FRAUD), time_ms))
    with Publisher(kafka) as publisher:
        headers = [(BY_HEADER, who.encode()), (NOTE_HEADER, note.encode())]
        publisher.send(topic, value, str(identifier), headers=headers)
        publisher.flush()
    if as_json:
        print_json(
            {"event_id": identifier, "label": verdict, "time_ms": time_ms, "by": who, "note": note}
        )
        return
    stdout.print(
        f"event {identifier} is {verdict}, says {who}, known since {moment(time_ms, 's')}",
        soft_wrap=True,
    )
