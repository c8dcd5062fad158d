"""Whether a JSON body keeps the schema that it names.

Schemas and bodies are anybody's: nothing is fetched, neither over the network nor from a file, and
what a body could be held against without end is refused before any body is.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote, urljoin

import jsonschema_rs
import msgspec

from streams.events.rejection import Finding, Reason
from streams.formats.reader import WrongSchemaError
from streams.formats.registry import Schema

MOST_STEPS = 2_000
"""How many subschemas one value may have to be held against."""

_LONGEST = 200
_BY_NAME = {"properties", "patternProperties", "dependentSchemas", "dependencies"}
_NO_SCHEMAS = {"enum", "const", "default", "examples", "$defs", "definitions"}
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=1_000, size_limit=1 << 16)
MOST_PATTERN_BYTES = 200_000
"""Bytes of a body, times the patterns that may be laid on each; one such takes 2 µs at worst."""


class Validator:
    """Holds bodies against one schema.

    Formats, such as ``date``, are not checked: they are a word to the reader unless both sides
    have agreed on them, and Confluent's own deserializer does not check them either.

    Raises:
        WrongSchemaError: the schema is none, refers to what the registry did not list with it, or
            could take without end.
    """

    def __init__(self, schema: Schema) -> None:
        self._decode = msgspec.json.Decoder().decode
        try:
            documents = {
                name: self._decode(text)
                for name, text in {"": schema.text, **schema.references}.items()
            }
            self._patterns = _Steps(documents).check().patterns
            self._validator = jsonschema_rs.validator_for(
                documents[""],
                registry=_registry(documents),
                validate_formats=False,
                pattern_options=_PATTERNS,
                mask="it",  # what is rejected may be private, and is in the dead letter anyway
                offline=True,
            )
        except WrongSchemaError:
            raise
        except Exception as error:  # a schema is a stranger's, too
            line = str(error).partition("\n")[0]
            raise WrongSchemaError(f"it is no JSON Schema that can be used: {line}") from error

    def keeps(self, body: Any) -> bool:
        """Whether a body, bytes of JSON, keeps the schema."""
        if self._patterns * len(body) > MOST_PATTERN_BYTES:
            return False  # and `breach` says why
        kept: bool = self._validator.is_valid(self._decode(body))
        return kept

    def breach(self, body: Any) -> Finding | None:
        """Return where and how a body, bytes of JSON, breaks the schema; None if it keeps it."""
        if self._patterns * len(body) > MOST_PATTERN_BYTES:
            most = MOST_PATTERN_BYTES // self._patterns
            detail = (
                f"its schema has {self._patterns} patterns, so that a record may have {most:,} "
                f"bytes, and it has {len(body):,}; schema_registry.validate_json = false reads it"
            )
            return Finding(Reason.BREAKS_SCHEMA, None, detail[:_LONGEST])
        try:
            self._validator.validate(self._decode(body))
        except jsonschema_rs.ValidationError as error:
            path = ".".join(map(str, error.instance_path))
            field = str(error.instance_path[0]) if error.instance_path else None
            detail = f"{path}: {error.message}" if path else error.message
            return Finding(Reason.BREAKS_SCHEMA, field, detail[:_LONGEST])
        except Exception as error:  # such as nesting that the library does not follow
            detail = f"it can't be held against its schema: {error}"
            return Finding(Reason.BREAKS_SCHEMA, None, detail[:_LONGEST])
        return None


class _Cost(NamedTuple):
    """What one value may have to be held against: subschemas in all, and patterns."""

    steps: int = 0
    patterns: int = 0

    def plus(self, other: "_Cost") -> "_Cost":
        return _Cost(self.steps + other.steps, self.patterns + other.patterns)


class _Steps:
    """Counts what one value may have to be held against, at most.

    A schema within itself is followed as deep as a body nests, and in several branches at each
    level; subschemas that refer to each other twice are doubled by every level. Either takes for
    ever.

    Args:
        documents: the schema under the empty name, and what it refers to by the names it uses.
    """

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self._documents = documents
        self._names = {name: name for name in documents}
        for name, document in documents.items():
            if isinstance(document, dict) and isinstance(document.get("$id"), str):
                self._names[document["$id"].removesuffix("#")] = name
        self._known: dict[int, _Cost] = {}
        self._open: set[int] = set()

    def check(self) -> _Cost:
        """Return the whole; raise `WrongSchemaError` where it is too much, or has no end."""
        return self._of("", self._documents[""])

    def _of(self, name: str, node: Any) -> _Cost:
        if isinstance(node, list):
            return self._sum(name, node)
        if not isinstance(node, dict):
            return _Cost()
        place = id(node)
        if place in self._known:
            return self._known[place]
        if place in self._open:
            _refuse("it refers to itself, so that there may be no end of it")
        self._open.add(place)
        cost = _Cost(1, "pattern" in node)
        for key, value in node.items():
            if key in _BY_NAME and isinstance(value, dict):
                cost = cost.plus(self._sum(name, value.values()))
                if key == "patternProperties":
                    cost = cost.plus(_Cost(0, len(value)))
            elif key == "$ref" and isinstance(value, str):
                cost = cost.plus(self._of(*self._target(name, value)))
            elif key in ("$dynamicRef", "$recursiveRef"):
                _refuse(f"it uses {key}, which is not supported here")
            elif key in ("$id", "id") and isinstance(value, str) and not value.startswith("#"):
                if node is not self._documents[name]:
                    _refuse(f"it has {key} {value!r} inside, which is not supported here")
            elif key not in _NO_SCHEMAS:
                cost = cost.plus(self._of(name, value))
            if cost.steps > MOST_STEPS:
                _refuse(f"one value would be held against more than {MOST_STEPS} subschemas")
        self._open.remove(place)
        self._known[place] = cost
        return cost

    def _sum(self, name: str, nodes: Iterable[Any]) -> _Cost:
        total = _Cost()
        for node in nodes:
            total = total.plus(self._of(name, node))
        return total

    def _target(self, name: str, reference: str) -> tuple[str, Any]:
        document, _, fragment = reference.partition("#")
        target = name if not document else self._names.get(document)
        if target is None:
            _refuse(f"it refers to {reference!r}, which the registry does not list with it")
        node = self._documents[target]
        if fragment and not fragment.startswith("/"):
            _refuse(f"it refers to {reference!r}: only paths such as '#/definitions/a' are read")
        for part in unquote(fragment).split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError):
                _refuse(f"it refers to {reference!r}, which is not there")
        return target, node


def _refuse(why: str) -> NoReturn:
    raise WrongSchemaError(why)


def _registry(documents: Mapping[str, Any]) -> jsonschema_rs.Registry:
    """The documents under the names by which the schema, with or without an id, finds them."""
    root = documents[""]
    base = root.get("$id", "") if isinstance(root, dict) else ""
    names = [name for name in documents if name]
    found = {name: documents[name] for name in names}
    if isinstance(base, str):
        found |= {urljoin(base, name): documents[name] for name in names}
    return jsonschema_rs.Registry(list(found.items()))
