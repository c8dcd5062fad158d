import pytest

from tests.registry_server import Registry


@pytest.fixture
def registry(schema_registry: Registry) -> Registry:
    return schema_registry
