"""Schemas by their ids: each compiled once, beside the stream, and kept within bounds."""

import errno
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic
from typing import NamedTuple, Protocol

from cachetools import LRUCache

from streams.events.rejection import Finding, Reason
from streams.formats.reader import CompiledSchema, SchemaNotReadyError, WrongSchemaError
from streams.formats.registry import Schema, UnknownSchemaError

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0
"""For how long the stream waits for a schema to be compiled, unless the one before took longer."""
_PAUSE_S = 5.0
"""After a fault of this machine."""
_LARGEST_KEPT = 16
"""How many schemas are kept of those that are as large as can be."""
_FINDING_BYTES = 500
_LONGEST_DETAIL = 240
_MOST_IN_WORK = 100
_NAMES_FAULTS = {
    *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
}
"""What a file system says of names; all else that it says is this machine's fault."""


class Registry(Protocol):
    """Where schemas come from."""

    def schema(self, schema_id: int) -> Schema:
        """Return a schema, or raise as `SchemaRegistry.schema` does."""


class _Kept(NamedTuple):
    size: int
    found: CompiledSchema | Finding


class SchemaShelf:
    """Compiled schemas, and what is wrong with the others; for one thread.

    Schemas are compiled one at a time, in a thread of its own. Whatever comes of it is the answer
    for that id from then on, but for a fault of this machine, such as a full disk: then it is tried
    again. Those that were not needed for longest are dropped when there are too many, lest whoever
    registers schemas fill our memory; they are fetched and compiled again when they are needed.

    Args:
        registry: is asked once for each id that is not kept.
        kind: what the registry calls the format.
        format: what the contract calls it.
        compile: of a schema, which may raise anything.
        max_bytes: of the largest schema; sixteen times as much is kept, and used in one batch.

    Attributes:
        of_batch: what `get` returned since the last `begin_batch`, by the header of the records. It
            is there for as long as the batch is read, also if it is kept no more.
    """

    def __init__(
        self,
        registry: Registry,
        kind: str,
        format: str,
        compile: Callable[[Schema], CompiledSchema],
        max_bytes: int,
    ) -> None:
        self._registry = registry
        self._kind = kind
        self._format = format
        self._compile = compile
        self._most = _LARGEST_KEPT * (max_bytes + _FINDING_BYTES)
        self._kept: LRUCache[int, _Kept] = LRUCache(self._most, lambda kept: kept.size)
        self.of_batch: dict[bytes, CompiledSchema | Finding] = {}
        self._size_of_batch = 0
        self._thread = ThreadPoolExecutor(1, "schemas")
        self._in_work: dict[int, Future[_Kept]] = {}
        self._slow = False
        self._not_before_s = 0.0
        self._fault = ""

    def begin_batch(self) -> None:
        """Let go what the batch before needed."""
        self.of_batch.clear()
        self._size_of_batch = 0

    def get(self, header: bytes) -> CompiledSchema | Finding:
        """Return what reads records with a header, or what is wrong with all of them.

        Raises:
            SchemaNotReadyError: it is not fetched or compiled yet, or the batch needs too many.
        """
        size, found = self._get(int.from_bytes(header[1:], "big"))
        if not isinstance(found, Finding):
            if self._size_of_batch + size > self._most:
                raise SchemaNotReadyError("more schemas in one batch than are kept at once")
            self._size_of_batch += size
        self.of_batch[header] = found
        return found

    def _get(self, schema_id: int) -> _Kept:
        kept = self._kept.get(schema_id)
        if kept is not None:
            return kept
        work = self._in_work.get(schema_id)
        if work is None:
            try:
                schema = self._registry.schema(schema_id)
            except UnknownSchemaError:
                # Not kept here: the registry's client forgets it after a while, and asks again.
                detail = f"the schema registry knows no schema {schema_id}"
                return _Kept(_FINDING_BYTES, Finding(Reason.UNKNOWN_SCHEMA, None, detail))
            except WrongSchemaError as error:
                kept = self._kept[schema_id] = _refused(schema_id, str(error))
                return kept
            work = self._begin(schema_id, schema)
        wait([work], 0 if self._slow else _PATIENCE_S)
        if not work.done():
            raise SchemaNotReadyError(f"schema {schema_id} is being compiled")
        del self._in_work[schema_id]
        kept = self._kept[schema_id] = self._outcome(schema_id, work)
        return kept

    def _begin(self, schema_id: int, schema: Schema) -> Future[_Kept]:
        if monotonic() < self._not_before_s:
            raise SchemaNotReadyError(self._fault)
        if len(self._in_work) >= _MOST_IN_WORK:  # some may be of partitions that are not ours now
            self._in_work = {key: each for key, each in self._in_work.items() if not each.done()}
        work = self._in_work[schema_id] = self._thread.submit(self._compiled, schema_id, schema)
        return work

    def _compiled(self, schema_id: int, schema: Schema) -> _Kept:
        if schema.kind != self._kind:
            return _refused(
                schema_id, f"it is {schema.kind[:50]}, and event.format says {self._format}"
            )
        start = monotonic()
        try:
            return _Kept(schema.size + _FINDING_BYTES, self._compile(schema))
        except OSError as error:
            if error.errno in _NAMES_FAULTS:
                return _refused(schema_id, str(error))
            raise
        except MemoryError:
            raise
        except Exception as error:  # whatever libraries make of what strangers wrote
            words = str(error) if isinstance(error, WrongSchemaError) else repr(error)
            return _refused(schema_id, words)
        finally:
            self._slow = monotonic() - start > _PATIENCE_S

    def _outcome(self, schema_id: int, work: Future[_Kept]) -> _Kept:
        try:
            return work.result()
        except (OSError, MemoryError) as error:
            self._fault = (
                f"can't compile schema {schema_id} on this machine: "
                f"{type(error).__name__}: {error}; its records wait"
            )
            self._not_before_s = monotonic() + _PAUSE_S
            logger.error("%s, next try in %.0f s", self._fault, _PAUSE_S)
            raise SchemaNotReadyError(self._fault) from error


def _refused(schema_id: int, why: str) -> _Kept:
    detail = f"schema {schema_id} is no schema of events: {why[:_LONGEST_DETAIL]}"
    # It goes into headers and logs, and may hold what no encoding has.
    plain = "".join(each if each.isprintable() else "?" for each in detail)
    return _Kept(_FINDING_BYTES, Finding(Reason.WRONG_SCHEMA, None, plain[:_LONGEST_DETAIL]))
