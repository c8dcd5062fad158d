"""The control room for those who look, and for those who command; and who commands."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from pydantic import ValidationError

from inference.control.commands import ModelVersion, version_of
from inference.control.control_room import ControlRoom
from inference.control.signatures import CommandKeys
from inference.packages.registry import Registry
from inference.policy.policy import Policy
from inference.serving.feature_compatibility import check_feature_compatibility
from streams.base.section import Section
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.permission_check import named_denials
from streams.kafka.rights.process import Process
from weir.cli.login import login_or
from weir.config.errors import SettingsError
from weir.config.settings import Settings
from weir.services.wiring import admitted, command_keys, usage

C = TypeVar("C", bound=Section)


@contextmanager
def viewing_room(settings: Settings, *, gates: bool = False) -> Iterator[ControlRoom]:
    """What stands and who answers by it, with the rights to look.

    Args:
        gates: whether what was found of a model is looked at, too.
    """
    with _room(settings, Process.VIEWER, command_keys(settings), gates) as room:
        yield room


@contextmanager
def commanding_room(
    settings: Settings, by: str | None, *, gates: bool = False
) -> Iterator[tuple[ControlRoom, str]]:
    """The room to give commands from, and in whose name they are given.

    Args:
        gates: as for `viewing_room`.

    Raises:
        SettingsError: nobody is named who does it, or our key may not.
    """
    keys = command_keys(settings, signing=True)
    author = author_of(keys, by)
    with _room(settings, Process.CONTROL, keys, gates) as room:
        yield room, author


def author_of(keys: CommandKeys, by: str | None) -> str:
    """In whose name a command is given: that of the key which signs it, where names have keys.

    Raises:
        SettingsError: nobody is named, or another one than the owner of our key.
    """
    if not keys.trusted:
        return login_or(by)
    if keys.signer is None:
        raise SettingsError(
            "signing.trusted_keys names whose commands count, and signing.key_file is empty: name "
            "your private key there, or in WEIR_SIGNING__KEY_FILE; `weir keys make` makes one"
        )
    name = keys.own_name()
    if name is None:
        raise SettingsError(
            f"signing.key_file: its key {keys.signer.id[:12]} is none of signing.trusted_keys: no "
            "scorer would take its commands. Have its public key added there"
        )
    if by is not None and by != name:
        raise SettingsError(f"--by {by}: this key is {name!r}, and signs in no other name")
    return name


def author_who_may(keys: CommandKeys, by: str | None, deed: str) -> str:
    """As `author_of`, of a key that may do this where names have keys.

    Raises:
        SettingsError: as `author_of`, or the key may not.
    """
    author = author_of(keys, by)
    if keys.trusted and deed not in keys.trusted[author].may:
        raise SettingsError(
            f"signing.trusted_keys.{author}: its `may` has no {deed!r}, so nobody would go by its "
            "word: add it there, or use another key"
        )
    return author


def usable_model(settings: Settings, registry: Registry, version: str) -> ModelVersion:
    """A registered model that scorers can take up: of the features that are declared, and policy.

    Raises:
        InferenceError: there is none, or it does not fit.
    """
    model = registry.get(version)
    package = registry.fetch(model)
    check_feature_compatibility(settings.plan(), package)
    Policy(settings.policy, package.thresholds)
    return version_of(model)


def said(kind: Callable[..., C], **values: Any) -> C:
    """A command of what its author wrote.

    Raises:
        SettingsError: it can't be said so; names the option.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        option = "".join(f"--{place}: " for place in problem["loc"][-1:])  # of none: of all of it
        raise SettingsError(f"{option}{problem['msg']}") from error


@contextmanager
def _room(
    settings: Settings, process: Process, keys: CommandKeys, gates: bool
) -> Iterator[ControlRoom]:
    found = settings.topics.comparisons
    # A roll-back in an emergency asks for no more than it needs.
    rights = [acl for acl in acls_of(process, usage(settings)) if gates or acl.name != found]
    kafka, _ = admitted(settings, lambda _: rights)
    with (
        named_denials(kafka, rights),
        closing(ControlRoom(kafka, keys, settings.topics.reports)) as room,
    ):
        yield room
