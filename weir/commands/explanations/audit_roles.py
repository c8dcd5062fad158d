"""`weir audit roles`: who may do what with a store in PostgreSQL."""

from typing import Annotated

import typer

from explain.store.roles.sql import Roles, roles_sql
from weir.cli.console import STDOUT, ConfigOption, stdout, write_file
from weir.config.settings import load_settings

_DEFAULT = Roles()


def roles(
    config: ConfigOption = None,
    analyst: Annotated[
        str, typer.Option(metavar="ROLE", help="Reads by functions that log it.")
    ] = _DEFAULT.analyst,
    sink: Annotated[str, typer.Option(metavar="ROLE", help="Runs `weir sink`.")] = _DEFAULT.sink,
    keeper: Annotated[
        str, typer.Option(metavar="ROLE", help="Holds, purges and verifies.")
    ] = _DEFAULT.keeper,
    schema: Annotated[
        str, typer.Option(metavar="SCHEMA", help="Where the tables are.")
    ] = _DEFAULT.schema,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run it, as the owner of the tables.")
    ] = False,
) -> None:
    """Write the SQL that makes the roles of a store in PostgreSQL, and what each may do.

    Analysts then read by functions alone, which log who reads under the name of their login, and
    answer once an anchor was signed for that. With --apply it is run on store.url, whose login
    owns the tables, and which makes them if need be. Running it again changes nothing. Grant the
    roles to the logins of persons and processes afterwards: `GRANT weir_analyst TO ada`.
    """
    sql = roles_sql(Roles(analyst, sink, keeper, schema))
    if not apply:
        write_file(STDOUT, [sql.encode()])
        return
    settings = load_settings(config)
    with settings.store.open_database(settings.data_dir) as database:
        database.run_script(sql)
        place = database.place
    stdout.print(
        f"made in {place}: analysts are {analyst}, the sink is {sink}, keepers are {keeper}; "
        f"give them to logins, such as: GRANT {analyst} TO ada",
        soft_wrap=True,
    )
