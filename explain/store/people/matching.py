"""Which records are meant, and how many they are."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from explain.store.records import index_text
from explain.store.tables import records


def matching(asked: Mapping[str, str | int]) -> ColumnElement[bool]:
    """What is so of the records that have all that is asked; without anything, of every record.

    Args:
        asked: values by column; `from_ms` and `to_ms` for event time at or after, and before, UTC
            milliseconds.
    """
    found: list[ColumnElement[bool]] = []
    for name, value in asked.items():
        if name == "from_ms":
            found.append(records.c.event_time >= value)
        elif name == "to_ms":
            found.append(records.c.event_time < value)
        else:
            found.append(records.c[name] == index_text(value))
    return and_(true(), *found)


def count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    """How many records there are of which all of this is so."""
    counted = select(func.count()).select_from(records).where(*conditions)
    return connection.execute(counted).scalar_one()
