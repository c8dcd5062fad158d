"""The log as text or as JSON, as the settings or the environment say."""

import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from front_door import weir, write_settings

from weir.config.errors import SettingsError
from weir.config.logs import JsonFormatter
from weir.config.settings import load_settings
from weir.services.process_output import ProcessOutput

ROOT = Path(__file__).parents[3]

# A process of its own: what is logged before and after the settings are known, and a mistake.
PROGRAM = """
import json, logging, sys
from weir.config import logs
from weir.config.log_settings import LogSettings

logs.begin("score", verbose="-v" in sys.argv)
logger = logging.getLogger("some.where")
logger.info("before")
logs.follow(LogSettings(**json.loads(sys.argv[1])))
logger.debug("a detail")
logger.info("two\\nlines, %s", "filled in")
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("it failed")
"""


def said(*options: str, section: dict[str, str], **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(section), *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )
    return done.stderr.splitlines()


def test_text_is_the_default() -> None:
    lines = said(section={})
    stamp = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "
    assert re.match(stamp + "INFO some.where: before$", lines[0])
    assert "a detail" not in "".join(lines)
    assert lines[1].endswith(r"two\nlines, filled in"), "a line end can't begin a line of its own"
    assert "  ZeroDivisionError: division by zero" in lines


def test_json_is_one_object_a_line() -> None:
    lines = said(section={"format": "json"})
    assert lines[0].endswith("INFO some.where: before")  # what nobody had said yet
    first, second = map(json.loads, lines[1:])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "info",
        "logger": "some.where",
        "process": "score",
        "message": "two\nlines, filled in",
    }
    assert (second["level"], second["message"]) == ("error", "it failed")
    assert second["exception"].endswith("ZeroDivisionError: division by zero")


def test_the_environment_asks_for_json_from_the_first_line_on() -> None:
    lines = said(section={}, WEIR_LOG__FORMAT="json")
    assert json.loads(lines[0])["message"] == "before"


def test_the_level_is_the_least_that_is_said() -> None:
    section = {"format": "json", "level": "error"}
    assert [json.loads(line)["message"] for line in said(section=section)[1:]] == ["it failed"]
    loud = [json.loads(line)["message"] for line in said("-v", section=section)[1:]]
    assert "a detail" in loud


def test_a_time_is_utc_to_the_millisecond() -> None:
    record = logging.makeLogRecord({"msg": "x", "created": 1_700_000_000.0626})
    line = json.loads(JsonFormatter("score").format(record))
    assert line["time"] == "2023-11-14T22:13:20.062Z"


def test_a_command_goes_by_its_settings_to_the_last_word(tmp_path: Path) -> None:
    kafka = {"bootstrap_servers": "127.0.0.1:1", "properties": {"no.such.key": "1"}}
    path = write_settings(tmp_path / "weir.toml", log={"format": "json"}, kafka=kafka)
    done = weir("topics", "-c", path)
    assert done.returncode == 2
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["level"], line["process"]) == ("error", "topics")
    assert "No such configuration property" in line["message"]


def test_a_wrong_format_is_a_wrong_setting(tmp_path: Path) -> None:
    path = write_settings(tmp_path / "weir.toml", log={"format": "xml"})
    with pytest.raises(SettingsError, match=r"log\.format"):
        load_settings(path)


def test_what_is_no_json_becomes_so_under_a_supervisor() -> None:
    stream = io.StringIO()
    output = ProcessOutput(stream, ["score"], coloured=True, as_json=True)
    output.copy("score", io.BytesIO(b'{"message": "ours"}\nSegmentation fault\n'))
    ours, theirs = stream.getvalue().splitlines()
    assert ours == '{"message": "ours"}'
    wrapped = json.loads(theirs)
    assert (wrapped["process"], wrapped["message"]) == ("score", "Segmentation fault")


def test_each_name_has_a_colour_on_a_terminal() -> None:
    stream = io.StringIO()
    output = ProcessOutput(stream, ["score", "sink"], coloured=True, as_json=False)
    output.copy("score", io.BytesIO(b"one\n"))
    output.copy("sink", io.BytesIO(b"two\n"))
    assert stream.getvalue() == "\x1b[36mscore | \x1b[0mone\n\x1b[33msink  | \x1b[0mtwo\n"


def test_a_process_is_listened_to_when_nobody_listens_to_us() -> None:
    """It would stand still otherwise, once its pipe is full."""
    stream = io.StringIO()
    stream.close()
    source = io.BytesIO(b"line\n" * 3)
    ProcessOutput(stream, ["score"], coloured=False, as_json=False).copy("score", source)
    assert source.closed
