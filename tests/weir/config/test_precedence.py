"""An option of the command line wins over the environment, and that over the file."""

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command
from typer.testing import CliRunner

from tests.weir.front_door import write_settings
from weir.cli.lazy_commands import LazyCommand
from weir.commands.cluster import broker, topology
from weir.commands.models import train
from weir.config import settings as module
from weir.config.settings import Settings, load_settings
from weir.main import app
from weir.services import service

OPTIONS = {
    ("score", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("explainer", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("sink", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("shadow", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("canary", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("canary run", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("judge", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("monitor", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("archive", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("controller", "--metrics-port"): ("metrics.port", 4, 5, 6),
    ("score", "--topology"): ("loop.topology", "fused", "fused", "staged"),
    ("topology", "--topology"): ("loop.topology", "fused", "fused", "staged"),
    ("train", "--trials"): ("training.search.trials", 4, 5, 6),
    ("score", "--on-missing-history"): ("snapshots.on_missing_history", "fail", "fail", "warn"),
    **{
        (f"broker {command}", option): values
        for command in ("start", "run", "stop", "status")
        for option, values in {
            "--port": ("broker.port", 4, 5, 6),
            "--data-dir": ("broker.data_dir", "/file", "/environment", "/option"),
        }.items()
        if command in ("start", "run") or option == "--data-dir"
    },
}
"""Which setting an option is, and values for it in the file, the environment and the option."""

OF_THEIR_OWN = {
    *("--config", "--events", "--features", "--field", "--file", "--format", "--id", "--key"),
    *("--labels", "--model", "--seed", "--token", "--version"),
}
"""Options that are called like a setting somewhere, and say something of their own: which events,
which model, which key."""


class SettingsReadError(Exception):
    """Ends a command as soon as it has read its settings."""


@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_an_option_wins_over_the_environment_and_that_over_the_file(
    option: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []

    def read(*arguments: Any, **options: Any) -> Settings:
        seen.append(load_settings(*arguments, **options))
        raise SettingsReadError

    for each in (service, topology, train, module):
        monkeypatch.setattr(each, "load_settings", read)
    monkeypatch.setattr(service, "stop_on_signals", lambda *_, **__: None)
    (command, name), (place, in_file, in_environment, given) = option, OPTIONS[option]
    section, *keys = place.split(".")
    said: Any = in_file
    for key in reversed(keys):
        said = {key: said}
    file = write_settings(tmp_path / "weir.toml", **{section: said})
    variable = {"WEIR_" + "__".join([section, *keys]).upper(): str(in_environment)}

    def result(*more: str, **environment: str) -> Any:
        arguments = [*command.split(), "--config", str(file), *more]
        ended = CliRunner().invoke(app, arguments, env=environment)
        assert isinstance(ended.exception, SettingsReadError), ended.output
        return str(reduce(getattr, keys, getattr(seen[-1], section)))

    assert result() == str(in_file)
    assert result(**variable) == str(in_environment)
    assert result(name, str(given), **variable) == str(given)


def test_the_options_above_are_all_that_are_settings() -> None:
    keys = {key for _, key in leaves(Settings)} | {f"{s}_{key}" for s, key in leaves(Settings)}
    alike = {
        (path, option)
        for path, option in options(get_command(app))
        if option.removeprefix("--").replace("-", "_") in keys and option not in OF_THEIR_OWN
    }
    assert alike == OPTIONS.keys()


def leaves(model: type[BaseModel], section: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, name)
        else:
            yield section, name


def options(command: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(command, LazyCommand):
        command = command.load()
    for name, each in getattr(command, "commands", {}).items():
        yield from options(each, f"{path} {name}".strip())
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                yield path, option


def test_a_table_of_the_environment_leaves_other_keys_as_the_file_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_settings(tmp_path / "weir.toml", metrics={"host": "::1", "port": 4})
    monkeypatch.setenv("WEIR_METRICS__PORT", "5")
    monkeypatch.setenv("WEIR_KAFKA", '{"properties": {"client.rack": "a"}}')
    settings = load_settings(file, metrics={"connections": 3})
    metrics = settings.metrics
    assert (metrics.host, metrics.port, metrics.connections) == ("::1", 5, 3)
    assert settings.kafka.properties == {"client.rack": "a"}
    assert broker.broker_settings(None, 7, file).port == 7
