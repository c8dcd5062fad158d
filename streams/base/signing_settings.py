"""The ``[signing]`` section: our key, and whose commands and packages count."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from streams.base.secrets import check_files
from streams.base.section import Section

# Cryptography is imported where it is used: settings are read by every command.
if TYPE_CHECKING:
    from streams.base.signing import Signer, TrustedKey

Deed = Literal["champion", "policy", "package", "erase", "shadow", "canary", "waiver", "retraining"]
_ALL: tuple[Deed, ...] = get_args(Deed)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$"


class KeyOwner(Section):
    """An entry of ``signing.trusted_keys``.

    Attributes:
        file: the public key, in PEM.
        may: what the owner may sign: which model is champion, the policy, model packages,
            erasures, candidates, words to the retraining controller.
    """

    file: Path
    may: tuple[Deed, ...] = Field(default=_ALL, min_length=1)


def _entry(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


class SigningSettings(Section):
    """The ``[signing]`` section.

    Attributes:
        key_file: the private key that signs our commands and packages, in PEM; made by
            `weir keys make`, and readable to nobody else.
        trusted_keys: by the name of their owner, such as ``ada = "keys/ada.pub"``, or
            ``trainer = {file = "keys/trainer.pub", may = ["package"]}``. Where there is one, what
            is not signed by one of them counts for nothing.
    """

    key_file: Path | None = None
    trusted_keys: dict[
        Annotated[str, Field(pattern=_NAME, max_length=100)],
        Annotated[KeyOwner, BeforeValidator(_entry)],
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _files_are_there(self) -> "SigningSettings":
        check_files(self, "key_file")
        for name, owner in self.trusted_keys.items():
            if not owner.file.is_file():
                raise ValueError(f"trusted_keys.{name}: there is no file {str(owner.file)!r}")
        return self

    def signer(self) -> "Signer | None":
        """Our private key, if one is named.

        Raises:
            KeyFileError: it can't be read, others may read it, or it is none.
        """
        from streams.base.signing import KeyFileError, open_signer

        if self.key_file is None:
            return None
        try:
            return open_signer(self.key_file)
        except KeyFileError as error:
            raise KeyFileError(f"signing.key_file: {error}") from error

    def trusted(self) -> "dict[str, TrustedKey]":
        """Whose signatures count, by name; empty where nobody is named.

        Raises:
            KeyFileError: one can't be read, is none, or stands there twice.
        """
        from streams.base.signing import KeyFileError, TrustedKey, owner_of, read_public

        keys: dict[str, TrustedKey] = {}
        for name, owner in self.trusted_keys.items():
            try:
                key = TrustedKey(read_public(owner.file), frozenset(owner.may))
            except KeyFileError as error:
                raise KeyFileError(f"signing.trusted_keys.{name}: {error}") from error
            twin = owner_of(keys, key.id)
            if twin is not None:
                raise KeyFileError(
                    f"signing.trusted_keys: {twin} and {name} have one key: each needs their own"
                )
            keys[name] = key
        return keys
