"""What tests of redaction share: a store of three persons' records, and what is done to it."""

from typing import Any

from sqlalchemy import select
from store_world import TRUSTED, Clock, record

from explain.store.chain import link_hash
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.people.redaction import RedactionPlan, Redactor
from explain.store.tables import records

TOKEN = "token-1"
"""Of the records 1, 4, 7, 10, 13, 16 and 19, in the rows behind."""
ROWS = [2, 5, 8, 11, 14, 17, 20]


def redact(database: Database, token: str = TOKEN) -> RedactionPlan:
    return Redactor(database, "ada", Clock()).redact("customer_id", token, TRUSTED, "request 8")


def rows(database: Database) -> dict[int, Any]:
    with database.reading() as connection:
        return {row.sequence: row for row in connection.execute(select(records))}


def faults(database: Database) -> list[tuple[str, str, int]]:
    return [(each.part, each.kind, each.sequence) for each in verify(database, TRUSTED).faults]


def run(database: Database, *statements: str) -> None:
    with database.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def put(database: Database, number: int, values: dict[str, Any]) -> None:
    with database.writing() as connection:
        row = records.c.sequence == number
        connection.execute(records.update().where(row).values(**values))


def change_before_a_redacted_row(database: Database) -> None:
    """Change row 7, and make row 8 link to it, in whose bytes nothing tells any more."""
    old = rows(database)[7]
    body = record(6, decision__outcome="approve")
    new = link_hash(7, old.previous, body)
    put(database, 7, {"body": body, "hash": new, "outcome": "approve"})
    put(database, 8, {"previous": new})
