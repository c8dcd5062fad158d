"""The demo's folder: everything that it makes lies there, whatever the environment says."""

import os
import tomllib
from pathlib import Path

import tomli_w

from inference.packages.registry import RegistrySettings
from streams.base.atomic_file import is_partial
from streams.kafka.client import KafkaSettings
from weir.broker.state import write_whole
from weir.config.errors import SettingsError
from weir.config.settings import EXAMPLE_FILE, Settings, load_settings

_NICENESS = 5
_QUICK = {"interval": "1h", "lateness": "30d"}
"""Weeks go by in a minute: in cells of a minute there would be an event or two, and partitions are
days apart."""
_MARK = "# Written by `weir demo`, which empties broker/ in this folder at every start.\n"


def prepare_folder(folder: Path, source: Path | None) -> tuple[Path, Settings]:
    """Write settings that keep everything inside the folder; later commands can use them.

    Args:
        folder: absolute; it is empty, not there yet, or that of an earlier demo.
        source: the user's settings; None for those of the simulated transactions.

    Returns:
        The settings file, and the settings.

    Raises:
        SettingsError: the user's settings are wrong, or the folder holds something else.
    """
    source = source or EXAMPLE_FILE
    settings = load_settings(source)  # complains about the user's file under its own name
    target = folder / "weir.toml"
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(target) and not all(map(is_partial, folder.iterdir())):
        raise SettingsError(
            f"{folder} holds files that are not the demo's, which it might overwrite: name an "
            "empty or a new folder with --dir"
        )
    values = tomllib.loads(source.read_text(encoding="utf-8"))
    broker = {"data_dir": str(folder / "broker"), "port": 0}
    values["data_dir"] = str(folder)
    values["broker"] = values.get("broker", {}) | broker
    for beside in ("shadow", "monitor"):  # else these would hardly start on a busy machine
        values[beside] = {"niceness": _NICENESS} | values.get(beside, {})
    values["monitor"] |= _QUICK
    for elsewhere in ("kafka", "registry"):
        values.pop(elsewhere, None)
    write_whole(target, _MARK + tomli_w.dumps(values))
    # Not read back from there: the environment would win over it.
    return target, settings.model_copy(
        update={
            "data_dir": folder,
            "broker": settings.broker.model_copy(update={"data_dir": folder / "broker", "port": 0}),
            "kafka": KafkaSettings(),
            "registry": RegistrySettings(),
        }
    )


def _is_ours(settings_file: Path) -> bool:
    try:
        return settings_file.read_text(encoding="utf-8").startswith(_MARK)
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def scorer_environment(folder: Path, kafka: KafkaSettings) -> dict[str, str]:
    """The environment of the scorer: whatever the user's own one names, it stays in the folder."""
    elsewhere = ("WEIR_KAFKA", "WEIR_REGISTRY", "WEIR_DATA_DIR")
    ours = {k: v for k, v in os.environ.items() if not k.upper().startswith(elsewhere)}
    return ours | {
        "WEIR_DATA_DIR": str(folder),
        "WEIR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
    }
