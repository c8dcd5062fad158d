"""The SQL that makes the roles and functions of a store in PostgreSQL."""

from dataclasses import dataclass
from importlib.resources import files

WRITER = 0x7765_6972
"""PostgreSQL's advisory lock of whoever appends. It takes no right to change a row, as a lock of a
row would: the sink needs INSERT and SELECT only."""


@dataclass(frozen=True)
class Roles:
    """Names of the roles, and of the schema that has the tables."""

    analyst: str = "weir_analyst"
    sink: str = "weir_sink"
    keeper: str = "weir_keeper"
    schema: str = "public"


def roles_sql(roles: Roles) -> str:
    """Statements for the owner of the tables; running them again changes nothing."""
    names = (roles.analyst, roles.sink, roles.keeper)
    template = files(__package__).joinpath("roles.sql").read_text()
    return template.format(
        names=", ".join("'" + name.replace("'", "''") + "'" for name in names),
        analyst=_identifier(roles.analyst),
        sink=_identifier(roles.sink),
        keeper=_identifier(roles.keeper),
        schema=_identifier(roles.schema),
        writer=WRITER,
    )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
