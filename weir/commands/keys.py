"""``weir keys``: the keys that sign commands and packages."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from streams.base.signing import open_signer
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout, write_file
from weir.config.errors import SettingsError
from weir.config.settings import load_settings

app = typer.Typer(
    help="The keys that sign commands and model packages, and whose signatures count.",
    no_args_is_help=True,
)


@app.command()
def make(
    file: Annotated[Path, typer.Argument(help="Where the private key goes, readable to you only.")],
    as_json: JsonOption = False,
) -> None:
    """Make an Ed25519 key: the private one in FILE, the public one beside it in FILE.pub.

    Name the private one as signing.key_file where commands are given or models are made, and the
    public one under signing.trusted_keys wherever signatures count. An old file is never replaced.
    """
    public = file.with_name(file.name + ".pub")
    for each in (file, public):
        if each.exists():
            raise SettingsError(f"{each} is there already: it is not replaced; choose another name")
    signer = open_signer(file)
    write_file(public, [signer.public_pem().encode()])
    if as_json:
        print_json({"id": signer.id, "private": str(file), "public": str(public)})
        return
    stdout.print(f"key {signer.id[:12]}: private in {file}, public in {public}", soft_wrap=True)
    stdout.print(
        f"in your settings:            [signing] key_file = {str(file)!r}\n"
        f"where signatures count:      [signing.trusted_keys] NAME = {str(public)!r}",
        soft_wrap=True,
        markup=False,
    )


@app.command("list")
def list_keys(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List whose signatures count by these settings, and which key is ours."""
    signing = load_settings(config).signing
    signer, trusted = signing.signer(), signing.trusted()
    if as_json:
        print_json(
            {
                "own": None if signer is None else signer.id,
                "trusted": [
                    {"name": name, "id": key.id, "may": sorted(key.may)}
                    for name, key in trusted.items()
                ],
            }
        )
        return
    if signer is not None:
        stdout.print(f"ours, signing.key_file: {signer.id[:12]}")
    if not trusted:
        stdout.print(
            "signing.trusted_keys names nobody: commands count whoever gives them, signed or not",
            soft_wrap=True,
        )
        return
    table = Table.grid("name", "key", "may sign", padding=(0, 2))
    for name, key in trusted.items():
        table.add_row(name, key.id[:12], ", ".join(sorted(key.may)))
    stdout.print(table)
