"""Which settings hold secrets: their types say so, never their names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from streams.base.masking import is_telling, passwords_in, remember


@dataclass(frozen=True)
class MayHoldSecrets:
    """Marks a type of settings whose values are shown in no message, although most are no secret.

    A setting that is a secret as a whole is a `SecretStr` instead.
    """


LoginUrl = Annotated[str, MayHoldSecrets()]
"""A URL, or several, that may carry a login."""


def holds_secrets(kind: Any) -> bool:
    """Whether a value of this type may be a secret, or hold one."""
    if isinstance(kind, type):
        if issubclass(kind, SecretStr):
            return True
        if issubclass(kind, BaseModel):
            return any(map(_field_holds_secrets, kind.model_fields.values()))
    return any(
        isinstance(part, MayHoldSecrets) or holds_secrets(part)
        for part in get_args(kind)
        if part is not kind
    )


def is_secret(model: type[BaseModel], place: Sequence[str | int]) -> bool:
    """Whether what stands at a place of pydantic's (``loc``) may be a secret, or hold one."""
    kind: Any = model
    for part in place:
        inner = _inner(kind, part)
        if inner is None:  # such as the name of a variant: we are as deep as we know
            break
        kind, marked = inner
        if marked:
            return True
    return kind is model or holds_secrets(kind)


def remember_secrets(model: type[BaseModel], values: Any) -> None:
    """Mask, in all that is said from now on, what is given for secret settings of a model.

    Args:
        values: as they were given, right or wrong.
    """
    if not isinstance(values, Mapping):
        return
    for name, is_whole in _secret_fields(model):
        given = values.get(name)
        if is_whole:
            remember(*_texts(given))
            continue
        remember(*(secret for text in _texts(given) for secret in passwords_in(text)))
        if isinstance(given, Mapping):
            told = [value for key, value in given.items() if is_telling(str(key))]
            remember(*_texts(told))


@cache
def _secret_fields(model: type[BaseModel]) -> tuple[tuple[str, bool], ...]:
    """Names, and whether the value as a whole is secret."""
    return tuple(
        (name, _has_secret_str(field.annotation))
        for name, field in model.model_fields.items()
        if _field_holds_secrets(field)
    )


def _field_holds_secrets(field: Any) -> bool:
    return any(isinstance(each, MayHoldSecrets) for each in field.metadata) or holds_secrets(
        field.annotation
    )


def _has_secret_str(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, SecretStr):
        return True
    return any(map(_has_secret_str, get_args(kind)))


def _inner(kind: Any, part: str | int) -> tuple[Any, bool] | None:
    """The type of a part of a value, and whether it is marked; None where it has no such part."""
    for each in _alternatives(kind):
        if isinstance(each, type) and issubclass(each, BaseModel):
            field = each.model_fields.get(str(part))
            if field is not None:
                return field.annotation, _field_holds_secrets(field) and not _is_model(field)
        elif get_origin(each) in (dict, list, tuple, set, frozenset):
            inner = [arg for arg in get_args(each) if arg is not Ellipsis]
            if inner:
                return inner[-1], False
    return None


def _is_model(field: Any) -> bool:
    kinds = list(_alternatives(field.annotation))
    return any(isinstance(each, type) and issubclass(each, BaseModel) for each in kinds)


def _alternatives(kind: Any) -> Iterator[Any]:
    origin = get_origin(kind)
    if origin is None or origin in (dict, list, tuple, set, frozenset):
        yield kind
        return
    for part in get_args(kind):
        yield from _alternatives(part)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
