"""Stores on both real databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_world import fill, open_store

from explain.store.database import Database

OpenDatabase = Callable[[], Database]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres").database()
    return url


@pytest.fixture
def database(store_url: str, tmp_path: Path) -> Iterator[Database]:
    """An open store."""
    with open_store(tmp_path, store_url) as database:
        yield database


@pytest.fixture
def filled(database: Database) -> Database:
    """A filled store, of each kind of database."""
    return fill(database)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Database]:
    """A filled store in SQLite, for what does not depend on the database."""
    with open_store(tmp_path) as database:
        yield fill(database)
