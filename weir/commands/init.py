"""`weir init`: a settings file to start from."""

from pathlib import Path
from typing import Annotated

import typer

from weir.cli.console import stdout
from weir.config.errors import SettingsError
from weir.config.settings import DEFAULT_FILE, EXAMPLE_FILE


def init(file: Annotated[Path, typer.Argument(help="Where to write it.")] = DEFAULT_FILE) -> None:
    """Write an example weir.toml: card transactions, 17 features, a policy.

    Change the event contract to your own events, then the features.
    """
    if file.exists():
        raise SettingsError(f"{file} is there already: remove it, or name another file")
    file.write_text(EXAMPLE_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    stdout.print(f"wrote {file}", soft_wrap=True)
