"""Stores on both real databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from explain.store.database import Database
from explain.store.settings import StoreSettings
from tests.postgres_server import Postgres, fetch_postgres

OpenDatabase = Callable[[], Database]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, started when a test first asks for it, and shared by the run."""
    server = Postgres(fetch_postgres())
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres").database()
    return url


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """An open store."""
    with StoreSettings(url=store_url).open_database(Path()) as database:
        yield database
