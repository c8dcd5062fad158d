"""Who vouches for a model package: an Ed25519 signature of its id, in a file beside its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from inference.packages.package import ModelPackage, PackageError
from streams.base.atomic_file import write_atomic
from streams.base.section import Section
from streams.base.signing import Signer, TrustedKey, owner_of

SIGNATURE = "signature.json"
"""Not among the files that a package's id covers: it can be signed again, by another key."""

_DEED = "package"
_DOMAIN = b"weir-package-1\0"


class UntrustedPackageError(PackageError):
    """A package is not signed by a key that may vouch for it."""


class _Signature(Section):
    key: str = Field(pattern="^[0-9a-f]{64}$")
    signature: str = Field(pattern="^[0-9a-f]{128}$")


@dataclass(frozen=True)
class PackageKeys:
    """Signs packages, and says whose packages may serve.

    Attributes:
        signer: signs those that we make; None where we can't.
        trusted: by the name of their owner; where nobody is named, all packages may serve.
    """

    signer: Signer | None = None
    trusted: Mapping[str, TrustedKey] = field(default_factory=dict)

    @property
    def may_sign(self) -> bool:
        """Whether what we sign may serve: our key is one of those, or nobody asks."""
        name = owner_of(self.trusted, self.signer.id if self.signer is not None else None)
        return not self.trusted or (name is not None and _DEED in self.trusted[name].may)

    def sign(self, package: ModelPackage) -> None:
        """Put our signature beside the files of a package; does nothing without a key.

        Raises:
            OSError: its folder can't be written.
        """
        if self.signer is None:
            return
        signature = self.signer.sign(_body(package.id)).hex()
        said = _Signature(key=self.signer.id, signature=signature)
        write_atomic(package.folder / SIGNATURE, said.model_dump_json().encode(), mode=0o644)

    def admit(self, package: ModelPackage) -> ModelPackage:
        """The package, if it may serve.

        Raises:
            UntrustedPackageError: it is not signed, or by nobody who may.
        """
        if self.trusted and (problem := self._problem(package)):
            raise UntrustedPackageError(
                f"model package {package.short_id} {problem}, and signing.trusted_keys says whose "
                "packages may serve: `weir models sign` signs one that you vouch for"
            )
        return package

    def _problem(self, package: ModelPackage) -> str:
        path: Path = package.folder / SIGNATURE
        try:
            said = _Signature.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return "is not signed"
        except (OSError, ValidationError):
            return f"carries no signature that can be read in {SIGNATURE}"
        name = owner_of(self.trusted, said.key)
        if name is None:
            return f"is signed by a key that is not trusted here ({said.key[:12]})"
        key = self.trusted[name]
        if _DEED not in key.may:
            return f"is signed by {name}, who may only sign {', '.join(sorted(key.may))}"
        if not key.signed(_body(package.id), bytes.fromhex(said.signature)):
            return f"carries a signature of {name} that is not of this package"
        return ""


def _body(package_id: str) -> bytes:
    return _DOMAIN + package_id.encode()
