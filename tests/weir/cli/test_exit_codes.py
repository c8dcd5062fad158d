"""Which errors end a command in one message, and with which exit code."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from front_door import weir, write_settings

from explain.store.errors import StoreUnavailableError, TamperedError
from inference.importing.static.refusal import ImportRefusedError
from inference.packages.mlflow_connection import RegistryAwayError
from streams.base.errors import WeirError
from streams.dead_letters.requeue import RequeueError
from streams.kafka.authorization import AuthorizationError
from streams.kafka.client import ClientSettingsError, KafkaUnavailableError
from streams.loop.fused.restorer import MissingHistoryError
from streams.stages.worker.migration import FeaturesChangedError
from streams.transactions.errors import FencedError, OutlivedError
from weir.cli.exit_codes import explain
from weir.config.errors import SettingsError

ROOT = Path(__file__).parents[3]
ROOMS = ("streams", "inference", "explain", "monitoring", "weir")
DEFINES_ONE = re.compile(r"^class \w+\(.*(Error|Exception|Exit|Interrupt)", re.MULTILINE)
HANDLED = {
    "ApartStoppedError": "the process was told to stop, and gives up what it tried",
    "BadBodyError": "a record that becomes a dead letter",
    "BadIndexError": "a record that becomes a dead letter",
    "BadValueError": "a record that becomes a dead letter, or a row that is left out",
    "CorruptStateError": "the state is rebuilt from the topics",
    "DumpMismatchError": "the state is rebuilt from the topics",
    "ResidentError": "a candidate that is paused, while the others go on",
    "NotStartedError": "an import says it; schemas and packages are tried again",
    "NotReadyError": "the start of the broker asks again",
    "RegistryUnavailableError": "records wait for the schema registry",
    "SchemaNotReadyError": "records wait for the schema registry, or for a schema to be compiled",
    "SnapshotGoneError": "the state is rebuilt from the topics",
    "StateMismatchError": "the state is rebuilt from the topics",
    "StoppedError": "the process was told to stop, and says so",
    "TryAgainLaterError": "records wait for the schema registry",
    "UnknownSchemaError": "a record that becomes a dead letter",
    "WrongSchemaError": "a record that becomes a dead letter",
    "_RefusedError": "an answer of the API of episodes",
    "_TransientError": "the download tries again",
}
"""The errors that no user sees, and what becomes of each."""


def exceptions() -> Iterator[type[Exception]]:
    """All exception classes of ours. Only modules that seem to define one are imported."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if not DEFINES_ONE.search(file.read_text(encoding="utf-8")):
                continue
            module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            for _, found in inspect.getmembers(module, inspect.isclass):
                if issubclass(found, BaseException) and found.__module__ == module.__name__:
                    yield found


def test_every_error_that_can_reach_a_user_says_how_the_command_ends() -> None:
    found = list(exceptions())
    assert len(found) > 40
    stray = {each.__name__ for each in found if not issubclass(each, WeirError)}
    assert stray == set(HANDLED)


def kafka_exception() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TIMED_OUT))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (ClientSettingsError("x"), 2),
        (ImportRefusedError("place", "problem", "fix"), 2),
        (FeaturesChangedError("x"), 2),
        (KafkaUnavailableError("x"), 3),
        (AuthorizationError(["x"]), 3),
        (StoreUnavailableError("x"), 3),
        (kafka_exception(), 3),
        (FencedError("x"), 4),
        (MissingHistoryError("x"), 5),
        (OutlivedError("x"), 1),
        (TamperedError("x"), 1),
        (RegistryAwayError("x"), 1),
        (RequeueError("x"), 1),
        (FileNotFoundError(2, "No such file", "x"), 1),
        (ValueError("x"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_ends_in_one_message_and_its_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEIR_TRACEBACK", raising=False)
    assert explain(error) == code
    assert capsys.readouterr().err.startswith("error: ")


def test_what_nobody_expected_is_raised() -> None:
    with pytest.raises(KeyError):
        explain(KeyError("a mistake of ours"))


def test_an_error_is_still_what_callers_catch() -> None:
    assert issubclass(RequeueError, ValueError)
    assert issubclass(ClientSettingsError, ValueError)


def test_the_list_of_commands_needs_neither_kafka_nor_models() -> None:
    program = "import sys, weir.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    heavy = {"confluent_kafka", "numpy", "numba", "onnxruntime", "mlflow", "pyarrow", "pydantic"}
    assert heavy.isdisjoint(done.stdout.split())


PASSWORD = "opensesame"
URL = f"http://clerk:{PASSWORD}@127.0.0.1:9"


@pytest.mark.parametrize("log", ["text", "json"])
def test_a_registrys_login_is_not_shown(tmp_path: Path, log: str) -> None:
    registry = {"tracking_uri": URL}
    config = write_settings(tmp_path / "weir.toml", registry=registry, log={"format": log})
    retries = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "WEIR_TRACEBACK": "1"}
    done = weir("models", "list", "--config", config, **retries)
    assert done.returncode == 1
    assert "http://***@127.0.0.1:9" in done.stderr
    assert "Traceback" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout


def test_a_schema_registrys_login_has_keys_of_its_own(tmp_path: Path) -> None:
    config = write_settings(tmp_path / "weir.toml", schema_registry={"url": URL})
    done = weir("topics", "--config", config)
    assert done.returncode == 2
    assert "schema_registry.username and password_file" in done.stderr
    assert PASSWORD not in done.stderr


def test_an_exception_that_nobody_expected_shows_no_login() -> None:
    program = (
        "import threading, logging\n"
        "from weir.config import logs\n"
        "logs.begin('score', verbose=False); logs.mask_tracebacks()\n"
        f"def fail(): raise RuntimeError('{URL}')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        f"logging.getLogger('some').warning('at %s', '{URL}')\n"
        "fail()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("http://***@127.0.0.1:9") == 3
    assert PASSWORD not in done.stderr
