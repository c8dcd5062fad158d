"""Asks a schema registry for schemas, and does not press one that is down."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from streams.base.safe_text import safe_text
from streams.formats.reader import SchemaNotReadyError, WrongSchemaError
from streams.formats.settings import SchemaRegistrySettings

logger = logging.getLogger(__name__)

_PATIENCE_S = 0.5
"""For how long a request may keep the stream, unless the one before failed."""
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_LARGEST_ID = 2**31 - 1
"""Registries count in signed 32-bit integers, and some fail when asked for more."""
_NO_SUCH_SCHEMA = 40403
_GONE = [(404, 40401), (404, 40402), (404, 40403)]
"""A subject, a version, a schema that the registry does not have."""
_MOST_REFERENCES = 200
_DEEPEST_REFERENCE = 20
_UNKNOWN_FOR_S = 60.0
_UNKNOWN_AT_MOST = 10_000


class RegistryUnavailableError(SchemaNotReadyError):
    """The registry gives no answer that settles whether a schema exists."""


class UnknownSchemaError(Exception):
    """The registry answered, and knows no such schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as the registry has it.

    Attributes:
        kind: ``AVRO``, ``PROTOBUF`` or ``JSON``.
        text: the schema itself.
        references: texts of the schemas that it refers to, directly or not, by their names there;
            each stands behind those that it refers to itself.
    """

    kind: str
    text: str
    references: dict[str, str]

    @property
    def size(self) -> int:
        """Letters in all of it."""
        names_and_texts = (*self.references, *self.references.values())
        return len(self.text) + sum(map(len, names_and_texts))


class _Request(NamedTuple):
    schema_id: int
    answer: "Future[Schema]"


class SchemaRegistry:
    """A client of a registry with Confluent's API; for one thread.

    A request runs in a thread of its own, one at a time. A caller waits for half a second at most,
    for a registry that is well takes milliseconds, and then asks again now and then. Between failed
    requests there is a pause, twice as long after each (0.5 to 30 s).

    Args:
        settings: where it is and how to log in.
        observe: told after each request whether the registry answered.
        steady_s: a clock that nobody sets, in seconds.

    Raises:
        ValueError: certificate, key or a property in the settings is of no use.
    """

    def __init__(
        self,
        settings: SchemaRegistrySettings,
        observe: Callable[[bool], None] = lambda available: None,
        steady_s: Callable[[], float] = monotonic,
    ) -> None:
        try:
            self._client = SchemaRegistryClient(settings.client_config())
        except (OSError, ValueError, TypeError) as error:  # an ssl.SSLError is an OSError
            raise ValueError(
                f"schema_registry: {error}: check its certificate and key files and its properties"
            ) from error
        self._url = settings.url
        self._max_bytes = settings.max_bytes
        self._observe = observe
        self._steady_s = steady_s
        self._thread = ThreadPoolExecutor(1, "schema-registry")
        self._request: _Request | None = None
        self._unknown: dict[int, float] = {}
        self._pause_s = 0.0
        self._not_before_s = 0.0
        self._failure = ""

    def schema(self, schema_id: int) -> Schema:
        """Return a schema; the caller keeps it, for it never changes.

        Raises:
            UnknownSchemaError: there is none with this id; remembered for a minute.
            WrongSchemaError: the registry has it, and it can be of no use; that never changes.
            RegistryUnavailableError: the registry has not answered yet, is down, or does not let
                us in.
        """
        now = self._steady_s()
        if schema_id > _LARGEST_ID or self._unknown.get(schema_id, now) > now:
            raise UnknownSchemaError
        answer = self._ask(schema_id, now)
        self._request = None
        try:
            schema = answer.result()
        except WrongSchemaError:
            self._answered()
            raise
        except Exception as error:  # whatever comes of networks, proxies and strange servers
            if not _settles(error):
                raise self._unavailable(error) from error
            self._answered()
            if len(self._unknown) >= _UNKNOWN_AT_MOST:
                self._unknown.clear()
            self._unknown[schema_id] = now + _UNKNOWN_FOR_S
            raise UnknownSchemaError from error
        self._answered()
        return schema

    def _ask(self, schema_id: int, now: float) -> "Future[Schema]":
        """The answer for a schema, if it has come."""
        request = self._request
        if request is not None and request.answer.done() and request.schema_id != schema_id:
            request = None  # nobody waits for it any more
        if request is None:
            if now < self._not_before_s:
                raise RegistryUnavailableError(self._failure)
            request = _Request(schema_id, self._thread.submit(self._fetch, schema_id))
            self._request = request
            wait([request.answer], 0 if self._pause_s else _PATIENCE_S)
        if request.schema_id != schema_id or not request.answer.done():
            raise RegistryUnavailableError(
                f"waiting for an answer of the schema registry at {self._url}"
            )
        return request.answer

    def _fetch(self, schema_id: int) -> Schema:
        try:
            schema = self._client.get_schema(schema_id)
            if not isinstance(schema.schema_str, str):
                raise TypeError("the answer holds no schema: is this the URL of a registry?")
            fetched = Schema(schema.schema_type or "AVRO", schema.schema_str, {})
            self._check_size(fetched)
            self._add_references(schema, fetched, 0)
        finally:
            self._client.clear_caches()  # whoever asks us keeps it; this would for ever
        return fetched

    def _add_references(self, schema: Any, found: Schema, depth: int) -> None:
        """Add what a schema refers to. A registry has what producers gave it, and null for some."""
        if depth > _DEEPEST_REFERENCE:
            raise WrongSchemaError(f"it refers to schemas more than {_DEEPEST_REFERENCE} deep")
        for reference in schema.references or ():
            name, subject, version = reference.name, reference.subject, reference.version
            if not name or not all(isinstance(each, str) for each in (name, subject)):
                raise WrongSchemaError("the registry lists a reference of it without a name")
            if not isinstance(version, int):
                raise WrongSchemaError(f"the registry lists no version for its {name[:50]!r}")
            if name in found.references:
                continue
            try:
                referred = self._client.get_version(subject, version, deleted=True).schema
            except SchemaRegistryError as error:
                if (error.http_status_code, error.error_code) in _GONE:
                    raise WrongSchemaError(
                        f"it refers to {name[:50]!r}, which the registry does not have"
                    ) from error
                raise
            if referred is None or not isinstance(referred.schema_str, str):
                raise WrongSchemaError(f"the registry has no text of its {name[:50]!r}")
            self._add_references(referred, found, depth + 1)
            if len(found.references) == _MOST_REFERENCES:
                raise WrongSchemaError(f"it refers to more than {_MOST_REFERENCES} schemas")
            found.references[name] = referred.schema_str
            self._check_size(found)

    def _check_size(self, schema: Schema) -> None:
        if schema.size > self._max_bytes:
            raise WrongSchemaError(
                f"it has {schema.size:,} letters, with what it refers to: more than "
                f"schema_registry.max_bytes = {self._max_bytes:,}"
            )

    def _answered(self) -> None:
        if self._pause_s:
            logger.info("the schema registry at %s answers again", self._url)
        self._pause_s = 0.0
        self._observe(True)

    def _unavailable(self, error: Exception) -> RegistryUnavailableError:
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._not_before_s = self._steady_s() + self._pause_s
        self._failure = (
            f"can't get a schema from the registry at {self._url}: "
            f"{safe_text(f'{type(error).__name__}: {error}')[:200]}. Check "
            "schema_registry.url, username and password, and that it runs"
        )
        logger.warning("%s; records wait, next try in %.1f s", self._failure, self._pause_s)
        self._observe(False)
        return RegistryUnavailableError(self._failure)


def _settles(error: Exception) -> bool:
    """Whether the registry itself says that it has no such schema.

    Any other answer, also a 404 of another kind, may come of a wrong URL or a proxy.
    """
    return isinstance(error, SchemaRegistryError) and (
        (error.http_status_code, error.error_code) == (404, _NO_SUCH_SCHEMA)
    )
