"""Asks a schema registry for schemas, remembers them, and does not press one that is down."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

import requests

from streams.decode import TryAgainLaterError
from streams.formats.settings import SchemaRegistrySettings

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_NO_SUCH_SCHEMA = 40403
_UNKNOWN_FOR_S = 60.0
_UNKNOWN_AT_MOST = 10_000


class RegistryUnavailableError(TryAgainLaterError):
    """A schema is needed, and the registry gives no answer that settles whether it exists."""


class UnknownSchemaError(Exception):
    """The registry answered, and knows no such schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as the registry has it.

    Attributes:
        kind: ``AVRO``, ``PROTOBUF`` or ``JSON``.
        text: the schema itself.
        references: texts of the schemas that it refers to, directly or not, by their names there.
    """

    kind: str
    text: str
    references: dict[str, str]


class SchemaRegistry:
    """A client of a registry with Confluent's API; for one thread.

    Between failed requests it waits, twice as long after each (0.5 to 30 s); asked meanwhile, it
    fails at once, so that the caller can go on with its other duties.

    Args:
        settings: where it is and how to log in.
        observe: told after each request whether the registry answered.
        steady_s: a clock that nobody sets, in seconds.
    """

    def __init__(
        self,
        settings: SchemaRegistrySettings,
        observe: Callable[[bool], None] = lambda available: None,
        steady_s: Callable[[], float] = monotonic,
    ) -> None:
        self._url = settings.url.rstrip("/")
        self._arguments = settings.session_arguments()
        self._observe = observe
        self._steady_s = steady_s
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/vnd.schemaregistry.v1+json, application/json"
        self._unknown: dict[int, float] = {}
        self._pause_s = 0.0
        self._not_before_s = 0.0
        self._failure = ""

    def schema(self, schema_id: int) -> Schema:
        """Return a schema; the caller keeps it, for it never changes.

        Raises:
            UnknownSchemaError: there is none with this id; remembered for a minute.
            RegistryUnavailableError: the registry is down or does not let us in.
        """
        now = self._steady_s()
        if self._unknown.get(schema_id, now) > now:
            raise UnknownSchemaError
        try:
            answer = self._get(f"/schemas/ids/{schema_id}")
            references: dict[str, str] = {}
            self._add_references(answer, references)
        except UnknownSchemaError:
            if len(self._unknown) >= _UNKNOWN_AT_MOST:
                self._unknown.clear()
            self._unknown[schema_id] = now + _UNKNOWN_FOR_S
            raise
        return Schema(answer.get("schemaType", "AVRO"), answer["schema"], references)

    def _add_references(self, answer: dict[str, Any], known: dict[str, str]) -> None:
        for reference in answer.get("references") or ():
            name = reference["name"]
            if name not in known:
                version = f"{quote(reference['subject'], safe='')}/versions/{reference['version']}"
                referred = self._get(f"/subjects/{version}")
                known[name] = referred["schema"]
                self._add_references(referred, known)

    def _get(self, path: str) -> dict[str, Any]:
        if self._steady_s() < self._not_before_s:
            raise RegistryUnavailableError(self._failure)
        try:
            response = self._session.get(self._url + path, **self._arguments)
        except (requests.RequestException, OSError) as error:
            raise self._unavailable(f"no answer ({type(error).__name__})") from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            if response.status_code == 404 and answer.get("error_code") == _NO_SUCH_SCHEMA:
                self._answered()
                raise UnknownSchemaError
            if response.status_code == 200 and isinstance(answer.get("schema"), str):
                self._answered()
                return answer
        # Any other answer, also a 404 of another kind, may come of a wrong URL or a proxy.
        raise self._unavailable(f"GET {path} was answered with HTTP {response.status_code}")

    def _answered(self) -> None:
        if self._pause_s:
            logger.info("the schema registry at %s answers again", self._url)
        self._pause_s = 0.0
        self._observe(True)

    def _unavailable(self, why: str) -> RegistryUnavailableError:
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._not_before_s = self._steady_s() + self._pause_s
        self._failure = (
            f"a schema is needed and the registry at {self._url} is of no help: {why}. Check "
            "schema_registry.url, user and password, and that it runs"
        )
        logger.warning("%s; records wait, next try in %.1f s", self._failure, self._pause_s)
        self._observe(False)
        return RegistryUnavailableError(self._failure)
