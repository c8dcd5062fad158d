"""Formats whose schemas are in a registry: Avro, Protobuf and JSON Schema."""

from collections.abc import Callable, Sequence

from streams.base.errors import WeirError
from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.formats.settings import SchemaRegistrySettings

__all__ = ["MissingFormatError", "SchemaRegistrySettings", "event_decoder"]


class MissingFormatError(WeirError, ValueError):
    """The libraries of a format are not installed."""


def event_decoder(
    contract: EventContract,
    settings: SchemaRegistrySettings,
    observe: Callable[[bool], None] = lambda available: None,
    headers: Sequence[str] = (),
) -> Decoder:
    """Return the decoder for the contract's format.

    Args:
        observe: told after each request whether the registry answered.
        headers: see `Decoder`.

    Raises:
        MissingFormatError: its libraries are not installed; says how to.
        ValueError: the registry's settings are of no use.
    """
    if contract.format == "json":
        return Decoder(contract, headers=headers)
    try:
        # Here, because these need libraries that plain JSON does not.
        from streams.formats.framed import FramedDecoder
        from streams.formats.registry import SchemaRegistry

        return FramedDecoder(
            contract,
            SchemaRegistry(settings, observe),
            validate_json=settings.validate_json,
            max_bytes=settings.max_bytes,
            headers=headers,
        )
    except ImportError as error:
        raise MissingFormatError(
            f"event.format = {contract.format!r} needs {error.name}: "
            "install Weir with its extra, `pip install 'weir[schema-registry]'`"
        ) from error
