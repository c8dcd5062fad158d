"""Whatever strangers call things, it drives no terminal, forges no line, and shows no secret."""

import ast
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
import typer
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from inference.control.reports import Outcome, ScorerReport
from inference.importing.static.refusal import ImportRefusedError
from streams.base.errors import WeirError
from streams.base.safe_text import safe_lines, visible
from streams.dead_letters.letter import dead_letter, read_dead_letter
from streams.dead_letters.reader import RecordAddress, StoredDeadLetter
from streams.events.rejection import Reason, Rejected
from streams.kafka.message import Message
from streams.stages.worker.overview import Stage, Worker
from weir.cli import dead_letter_view
from weir.cli.console import print_json, progress_bar, stderr, stdout, steps_bar, write_json
from weir.cli.exit_codes import explain
from weir.cli.login import LONGEST_BY, LONGEST_NOTE
from weir.cli.safe_console import SafeConsole
from weir.commands.cluster import topology
from weir.commands.models import models_import, outcome
from weir.config import logs
from weir.main import app
from weir.services.http.health import Health, WatchedStop
from weir.services.http.pages import pages_of
from weir.services.http.routes import Request
from weir.services.process_output import ProcessOutput

ROOT = Path(__file__).parents[3]
SECRET = "opensesame"
CHARACTERS = "".join(
    chr(code)
    for code in range(sys.maxunicode + 1)
    if code < 0x20
    or 0x7F <= code < 0xA0
    or category(chr(code)) in ("Cf", "Zl", "Zp")
    or code in (0xD800, 0xDFFF, 0x34F, 0x115F, 0x3164, 0xFE0F, 0xE0100)
).replace("\t", "")
"""All that controls something, or is drawn as nothing; a tab only moves on."""
STRANGE = (
    "a\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e[red]b[/red][link=http://evil]c[/link]:smile: !\r\n"
    f"error: forged\u2028\ud800 http://clerk:{SECRET}@h\x7f"
)


class Stranger:
    """A record of Kafka's of which a producer chose all."""

    def key(self) -> bytes:
        return STRANGE.encode(errors="replace")

    def value(self) -> bytes:
        return STRANGE.encode(errors="replace")

    def headers(self) -> list[tuple[str, bytes]]:
        return [(STRANGE.encode(errors="replace").decode(), self.value())]

    def topic(self) -> str:
        return "weir.events"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 1

    def timestamp(self) -> tuple[int, int]:
        return 1, 1

    def error(self) -> None:
        return None


def letter() -> StoredDeadLetter:
    rejected = Rejected(0, Reason.WRONG_TYPE, STRANGE, STRANGE)
    made = dead_letter(stranger(), rejected, 5, 1_000_000)
    read = read_dead_letter(written(made))
    return StoredDeadLetter(read, RecordAddress("weir.dead-letters", 0, 0), None)


def stranger() -> Message:
    return Stranger()  # type: ignore[return-value]


def written(record: Any) -> Message:
    made = Stranger()
    made.key, made.value = lambda: record.key, lambda: record.value  # type: ignore[method-assign]
    made.headers = lambda: record.headers  # type: ignore[method-assign]
    return made  # type: ignore[return-value]


def report() -> ScorerReport:
    return ScorerReport.model_construct(  # none that is read has such names
        outcome=Outcome.REFUSED if hasattr(Outcome, "REFUSED") else "refused",  # type: ignore[arg-type]
        model="a" * 64,
        policy=STRANGE.replace("\ud800", ""),
        asked_model="b" * 64,
        asked_policy="2",
        reason=STRANGE.replace("\ud800", ""),
        at=5,
        alive=5,
    )


def in_a_progress() -> None:
    with progress_bar(STRANGE, show=True) as step:
        step(1, 2)
    with steps_bar(show=True) as named:
        named(STRANGE, 0.5)


def in_all_that_rich_draws() -> None:
    table = Table(STRANGE, title=STRANGE, caption=STRANGE)
    table.add_row(STRANGE)
    table.add_row(Text(STRANGE, "bold"))
    table.add_row(Text.assemble(("x", "red"), (STRANGE, "blue"), STRANGE))
    table.add_row(Group(STRANGE, Text(STRANGE)))
    for console in (stdout, stderr):
        console.print(STRANGE, Text(STRANGE), table)
        console.print(STRANGE, soft_wrap=True)
        console.print(Panel(STRANGE, title=Text(STRANGE)))
        console.rule(Text(STRANGE))
        console.rule(STRANGE)


def in_a_terminal() -> None:
    """Of what a console itself draws there, colours and cursor movements are known."""
    console = SafeConsole()
    console.file, console._force_terminal = io.StringIO(), True
    with Live(Text(STRANGE, "red"), console=console, auto_refresh=False) as live:
        live.refresh()
    drawn = console.file.getvalue()
    for known in ("\x1b[31m", "\x1b[0m", "\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A", "\r"):
        drawn = drawn.replace(known, "")
    print(drawn)


def errors() -> Iterator[Exception]:
    for kind in (WeirError, ValueError, RuntimeError, KeyError, typer.BadParameter):
        yield kind(STRANGE)
    yield OSError(2, STRANGE, STRANGE)
    yield ImportRefusedError(STRANGE, STRANGE, STRANGE, STRANGE)
    yield KafkaException(KafkaError(KafkaError._FAIL, STRANGE.replace("\ud800", "")))
    yield UnicodeEncodeError("utf-8", STRANGE, 0, 1, STRANGE)
    cause = RuntimeError(STRANGE)
    cause.__cause__ = ValueError(STRANGE)
    cause.add_note(STRANGE)
    yield cause


def in_errors() -> None:
    for error in errors():
        try:
            explain(error)
        except Exception as unknown:
            sys.excepthook(type(unknown), unknown, unknown.__traceback__)


def in_the_log() -> None:
    stream = io.StringIO()
    for form in (logs.TextFormatter(), logs.JsonFormatter("score")):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(form)
        for error in errors():
            try:
                raise error
            except Exception:
                record = {"name": STRANGE, "levelno": 30, "levelname": "WARNING"}
                record |= {"msg": "says %s", "args": (STRANGE,), "exc_info": sys.exc_info()}
                handler.emit(logging.makeLogRecord(record | {"stack_info": STRANGE}))
    print(stream.getvalue())


def in_what_processes_say() -> None:
    for as_json in (False, True):
        stream = io.StringIO()
        output = ProcessOutput(stream, ["score"], coloured=False, as_json=as_json)
        output.copy("score", io.BytesIO(STRANGE.encode(errors="replace") + b"\n{" + b"\x1b[2J}\n"))
        print(stream.getvalue().replace("\nscore | error: forged", "\nscore | (prefixed)"))


def in_pages() -> None:
    health = Health(WatchedStop())
    health.working(lambda: [STRANGE])
    pages = pages_of("score", health, CollectorRegistry())
    for accept in ("*/*", "application/json"):
        answer = pages["/readyz"](Request({}, accept))
        assert answer.status is HTTPStatus.SERVICE_UNAVAILABLE
        print(answer.body.decode())


def in_dead_letters() -> None:
    stored = letter()
    stdout.print(dead_letter_view.letters_table([stored]))
    dead_letter_view.show_letter(stdout, stored, 1_000)
    print_json(dead_letter_view.as_json(stored))
    print(stored.letter.detail, stored.letter.field)


def in_tables_of_commands() -> None:
    stdout.print(outcome.reports_table({STRANGE: report(), f"{STRANGE}2": None}))
    models_import._table([(STRANGE, STRANGE)], STRANGE)
    stdout.print(topology._stage_table([Stage(STRANGE, [STRANGE], [STRANGE], [STRANGE], [])], {}))
    stdout.print(topology._worker_table([Worker(STRANGE, STRANGE, {STRANGE: [1]})]))


def in_json() -> None:
    for value in (STRANGE, [STRANGE], {STRANGE: (STRANGE, float("nan"))}, CHARACTERS):
        print_json(value)
        write_json(Path("-"), value)


def on_the_command_line() -> None:
    for arguments in (
        [STRANGE],
        ["score", f"--{STRANGE}"],
        ["score", "--metrics-port", STRANGE],
        ["replay", "x.parquet", "--from", STRANGE],
        ["broker", STRANGE],
        ["models", "list", "--config", STRANGE],
        ["models", "promote", "1", "--by", STRANGE * LONGEST_BY],
        ["audit", "hold", "add", "--note", STRANGE * LONGEST_NOTE],
    ):
        code = 0
        try:
            app(arguments, prog_name="weir", standalone_mode=False)
        except Exception as refused:
            code = explain(refused)
        assert code == 2, arguments


@pytest.mark.parametrize(
    "show",
    [
        in_a_progress,
        in_all_that_rich_draws,
        in_a_terminal,
        in_errors,
        in_the_log,
        in_what_processes_say,
        in_pages,
        in_dead_letters,
        in_tables_of_commands,
        in_json,
        on_the_command_line,
    ],
)
def test_no_text_of_strangers_does_anything(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    logs.mask_tracebacks()
    show()
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert text.strip()
    assert SECRET not in text
    assert not set(text) & set(CHARACTERS.replace("\n", "")), "a raw character"
    assert not [line for line in text.split("\n") if line.startswith("error: forged")]
    if show in (in_all_that_rich_draws, in_errors, in_the_log):
        assert "[red]" in text.replace("\n", ""), "markup is text"


@pytest.mark.parametrize("character", CHARACTERS)
def test_each_such_character_is_shown(character: str) -> None:
    shown = visible(f"a{character}b")
    assert shown.isprintable()
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert visible(shown) == shown


def test_letters_of_all_languages_stay() -> None:
    text = "Überweisung 10 €, Ωμέγα, 日本語, العربية, עברית, हिन्दी, e\u0301, 🙂, 1\u202f000\u00a0kg"
    assert visible(text) == text


def test_what_is_ours_has_its_lines() -> None:
    assert safe_lines("one\ntwo\nthree\n") == "one\n  two\n  three"


MAY_WRITE = {
    "streams/base/launcher.py": "before there is anything else: the name of our own program",
    "streams/snapshots/fork.py": "in a forked child, filtered",
    "streams/base/apart/launcher.py": "a child's, which its parent reads and filters",
    "streams/protoc/child.py": "a child's, which its parent reads and filters",
    "weir/cli/console.py": "the consoles, JSON, and files that go to -",
    "weir/cli/exit_codes.py": "closes what nobody reads",
    "weir/commands/cluster/dead_letters.py": "--raw: the bytes as they are",
    "weir/commands/services/up.py": "hands stderr to ProcessOutput, which filters",
    "weir/config/logs.py": "the log",
    "weir/main.py": "its own version, and flushing",
    "weir/services/stopping.py": "flushing",
    "weir/spark/session.py": "flushing, before Java writes to a file in its place",
}
"""Files that name a stream of the process, and what for."""
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "typer.echo"}
STREAMS |= {"typer.secho", "click.echo", "logging.StreamHandler", "logging.basicConfig", "Console"}
STREAMS |= {"rich.print", "print", "rprint", "warnings.showwarning", "traceback.print_exc"}


def test_nothing_is_said_beside_the_console_and_the_log() -> None:
    found = set()
    for room in ("streams", "inference", "explain", "weir"):
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                named = node.func if isinstance(node, ast.Call) else node
                if isinstance(named, ast.Attribute | ast.Name) and (
                    ast.unparse(named) in STREAMS
                    and (isinstance(node, ast.Call) or ast.unparse(named).startswith("sys."))
                ):
                    found.add(str(file.relative_to(ROOT)))
    assert found == MAY_WRITE.keys(), "say it with weir.cli.console or a logger: they filter"


def test_no_markup_is_made_of_what_others_write() -> None:
    for file in sorted((ROOT / "weir").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            if ast.unparse(node.func).endswith("from_markup"):
                assert file.name == "screen.py", f"{file}: {ast.unparse(node)}"
            title = next((each.value for each in node.keywords if each.arg == "title"), None)
            if ast.unparse(node.func) == "Panel":
                assert isinstance(title, ast.Call | None), f"{file}: a str as title is markup"
            if ast.unparse(node.func) == "TextColumn":
                assert "markup=False" in ast.unparse(node), file


@pytest.mark.parametrize(("option", "longest"), [("--by", LONGEST_BY), ("--note", LONGEST_NOTE)])
def test_names_and_notes_are_bounded(
    option: str, longest: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["models", "promote", "1"], ["label", "1", "fraud"], ["audit", "hold", "add"]):
        with pytest.raises(Exception, match=f"{longest + 1:,} characters") as refused:
            app([*command, option, "x" * (longest + 1)], standalone_mode=False)
        assert explain(refused.value) == 2
    assert json.dumps(f"write at most {longest:,}")[1:-1] in capsys.readouterr().err
