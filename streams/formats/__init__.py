"""Formats whose schemas are in a registry: Avro, Protobuf and JSON Schema."""

from collections.abc import Callable

from streams.contract import EventContract
from streams.decode import Decoder
from streams.formats.registry import RegistryUnavailableError, SchemaRegistry
from streams.formats.settings import SchemaRegistrySettings

__all__ = [
    "RegistryUnavailableError",
    "SchemaRegistry",
    "SchemaRegistrySettings",
    "event_decoder",
]


class MissingFormatError(Exception):
    """The libraries of a format are not installed."""


def event_decoder(
    contract: EventContract,
    settings: SchemaRegistrySettings,
    observe: Callable[[bool], None] = lambda available: None,
) -> Decoder:
    """Return the decoder for the contract's format.

    Args:
        observe: told after each request whether the registry answered.

    Raises:
        MissingFormatError: its libraries are not installed; says how to.
    """
    if contract.format == "json":
        return Decoder(contract)
    try:
        from streams.formats.framed import FramedDecoder

        return FramedDecoder(contract, SchemaRegistry(settings, observe))
    except ImportError as error:
        raise MissingFormatError(
            f"event.format = {contract.format!r} needs {error.name}: "
            "install Weir with its extra, `pip install 'weir[schema-registry]'`"
        ) from error
