"""Fixtures that all rooms share."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.base import masking
from streams.features.state import FeatureState
from streams.kafka.topics.topic_partitions import wait_until_known
from tests.postgres_server import Postgres, fetch_postgres
from tests.registry_server import Registry, fetch_registry
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import EXAMPLE_FILE, load_settings

MakeTopics = Callable[..., list[str]]

# Where it is set, each of the hundreds of processes that the tests start would compile our modules
# anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "weir", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("weir")

_LONG_FIRST = ("tests/weir/processes/", "tests/weir/", "tests/streams/loop/", "tests/")
"""Whole processes take longest; a file of theirs that began last would be waited for alone."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels of windows, half a minute on a new machine.

    Else each of the processes that run at once at the beginning would do so.
    """
    if not hasattr(session.config, "workerinput"):
        settings = load_settings(EXAMPLE_FILE)
        FeatureState(settings.plan(), settings.windows).warm_up()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that needs the broker, however indirectly; what takes long comes first."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    return next(n for n, room in enumerate(_LONG_FIRST) if item.nodeid.startswith(room))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of one real Apache Kafka, started when a test first asks for it.

    All tests of a run share it: use topics of your own (`make_topics`), and group and
    transactional ids that nobody else has.
    """
    # Looked for every ten seconds by default: what a test lets time out would take as long.
    looks = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}
    settings = BrokerSettings(data_dir=tmp_path_factory.mktemp("kafka"), port=0, properties=looks)
    with LocalBroker(settings) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def make_topics(kafka: str) -> MakeTopics:
    """Return a function that makes topics and returns their unique names.

    ``events, scores = make_topics("events", "scores", partitions=3)``; `config` holds Kafka's
    topic settings.
    """
    admin = AdminClient({"bootstrap.servers": kafka})

    def make(
        *names: str, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> list[str]:
        unique = [f"{name}-{uuid.uuid4().hex[:8]}" for name in names]
        topics = [NewTopic(name, partitions, 1, config=dict(config or {})) for name in unique]
        for created in admin.create_topics(topics, operation_timeout=30).values():
            created.result(timeout=30)
        wait_until_known(admin, unique)  # else the first who asks may be told that there is none
        return unique

    return make


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's secrets are masked in its own messages, not in the next one's."""
    monkeypatch.setattr(masking, "_known", masking.KnownSecrets())


@pytest.fixture(scope="session")
def schema_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real schema registry, started when a test first asks for it, and shared by the run."""
    server = Registry(fetch_registry(), tmp_path_factory.mktemp("registry"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, started when a test first asks for it, and shared by the run."""
    server = Postgres(fetch_postgres())
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets, which are not part of the project."""
    named = os.environ.get("WEIR_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set WEIR_TEST_DATA to a folder of data sets")
    return folder
