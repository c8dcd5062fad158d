"""`weir acls`: what each process has to be allowed."""

import shlex
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from streams.kafka.client import connect
from streams.kafka.rights.acl import Acl, Pattern
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import grant
from streams.kafka.rights.process import COMMANDS, Process
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.config.settings import Settings, load_settings
from weir.services.wiring import kafka_settings, usage


def acls(
    config: ConfigOption = None,
    process: Annotated[
        list[Process] | None,
        typer.Option(help="Only this one; may be given again.", show_default=False),
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE:NAME",
            show_default=False,
            help="Who is to have these rights; else a user of its own for each process, "
            "such as User:weir-scorer.",
        ),
    ] = None,
    script: Annotated[
        bool, typer.Option("--script", help="Print only the lines for kafka-acls.sh.")
    ] = False,
    do_grant: Annotated[
        bool,
        typer.Option(
            "--grant",
            help="Add these ACLs to the cluster, as whoever [kafka] logs in as; needs --principal.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the ACLs that each process needs, with the names of these settings.

    As a table and as lines for kafka-acls.sh; `--script` prints only these lines, for a shell.
    No process needs more than its lines. Kafka is not asked, except with `--grant`.
    """
    if principal is not None and not all(principal.partition(":")):
        raise typer.BadParameter(f"{principal!r}: write a principal as Kafka does: User:scorer")
    if do_grant and principal is None:
        raise typer.BadParameter("--grant: say to whom: --principal User:scorer")
    settings = load_settings(config)
    use = usage(settings)
    needed = {each: acls_of(each, use) for each in process or Process}
    owners = {each: principal or f"User:weir-{each}" for each in needed}
    if do_grant:
        grant(
            connect(kafka_settings(settings)),
            [acl.binding(owners[each]) for each, some in needed.items() for acl in some],
        )
    lines = {each: script_lines(settings, owners[each], some) for each, some in needed.items()}
    if as_json:
        print_json(
            {
                "granted": do_grant,
                "processes": [
                    {
                        "process": each,
                        "commands": COMMANDS[each],
                        "principal": owners[each],
                        "acls": [_plain(acl) for acl in some],
                        "kafka_acls": lines[each],
                    }
                    for each, some in needed.items()
                ],
            }
        )
        return
    for each, some in needed.items():
        if not script:
            stdout.print(_table(each, owners[each], some))
        for line in lines[each]:
            stdout.print(line, soft_wrap=True)
        if not script:
            stdout.print()
    if do_grant:
        stdout.print("granted")


def _plain(acl: Acl) -> dict[str, Any]:
    return {
        "operation": acl.operation,
        "resource": acl.resource,
        "name": acl.name,
        "pattern": acl.pattern,
        "why": acl.why,
    }


def _table(process: Process, owner: str, acls: Sequence[Acl]) -> Table:
    table = Table(
        title=f"{process}: {', '.join(COMMANDS[process])} as {owner}", title_justify="left"
    )
    for column in ("operation", "resource", "name", "why"):
        table.add_column(column, overflow="fold")
    for acl in acls:
        name = f"{acl.name}* (prefixed)" if acl.pattern == "prefixed" else acl.name
        table.add_row(acl.operation, acl.resource, name, acl.why)
    return table


def script_lines(settings: Settings, owner: str, acls: Sequence[Acl]) -> list[str]:
    """Lines for kafka-acls.sh: one for each operation on resources of one type and pattern."""
    names: dict[tuple[str, str, Pattern], list[str]] = {}
    for acl in acls:
        names.setdefault((acl.operation, acl.resource, acl.pattern), []).append(acl.name)
    servers = settings.kafka.bootstrap_servers or f"localhost:{settings.broker.port or 9092}"
    lines = []
    for (operation, resource, pattern), some in names.items():
        words = [
            "kafka-acls.sh",
            "--bootstrap-server",
            servers,
            "--command-config",
            "admin.properties",
            "--add",
            "--allow-principal",
            owner,
            "--operation",
            operation,
        ]
        if pattern == "prefixed":
            words += ["--resource-pattern-type", pattern]
        for name in some:
            words += [f"--{resource}", name]
        lines.append(shlex.join(words))
    return lines
