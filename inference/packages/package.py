"""Model packages: a folder with a model and every yardstick that belongs to it."""

import hashlib
import io
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from inference.errors import InferenceError
from inference.packages.data_version import DataVersion
from inference.packages.drift_reference import DriftReference
from inference.packages.search_record import SearchRecord
from inference.packages.thresholds import Thresholds
from streams.base.section import Section

FORMAT = 1
CARD = "card.json"
MODEL = "model.onnx"
TENSORS = "model.tensors.onnx"
FEATURES = "features.json"
THRESHOLDS = "thresholds.json"
DRIFT_REFERENCE = "drift_reference.json"
BACKGROUND = "background.npy"
_REQUIRED = (MODEL, FEATURES, THRESHOLDS, DRIFT_REFERENCE, BACKGROUND)
_MOST_BYTES = 1 << 30
"""Of each file; what is larger would fill the memory of whoever looks at it."""
_MOST_FILES = 20
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

_Part = TypeVar("_Part", bound=Section)


class PackageError(InferenceError):
    """A folder holds no model package, or one that was changed after it was written."""


class FeatureColumns(Section):
    """``features.json``: the columns that the model reads, and what they mean.

    `names` is the order of the model's input. `definitions` are the declarations that the vector
    was computed from, and `schema_hash` is their hash, as the feature plan says it.
    """

    names: tuple[str, ...] = Field(min_length=1)
    schema_hash: str
    definitions: dict[str, Any]


class TrainingData(Section):
    """Which rows a model was trained on; times are UTC milliseconds.

    `sha256` is that of a file's bytes; of an archive, that of the rows as they were trained on.
    `version` says where they are from; older packages and imported models have none.
    """

    sha256: str
    rows: int
    frauds: int
    first_time: int
    last_time: int
    version: DataVersion | None = Field(default=None, exclude_if=lambda version: version is None)


class ImportedModel(Section):
    """The file that a model was imported from, as its exporter left it.

    `checks` are pairs of what was looked at and what was found, in order.
    """

    file: str
    sha256: str
    producer: str
    opset: dict[str, int]
    score: str
    score_kind: str
    checks: tuple[tuple[str, str], ...]


class Card(Section):
    """``card.json``: where a model comes from, how good it was, and the SHA-256 of every file.

    `searched` says how the parameters were found, where a search did. `tensors_left_out` says why
    the package has no tensor form, where it has none. `source` is where an imported model comes
    from; the data are then those that its yardsticks were read from.
    """

    format: int
    data: TrainingData
    code_version: str
    libraries: dict[str, str]
    parameters: dict[str, Any]
    searched: SearchRecord | None = Field(default=None, exclude_if=lambda record: record is None)
    seed: int
    metrics: dict[str, float]
    feature_schema_hash: str
    tensors_left_out: str | None = None
    source: ImportedModel | None = Field(default=None, exclude_if=lambda source: source is None)
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ModelPackage:
    """A package whose files were checked against its card.

    Attributes:
        folder: where it lies.
        id: SHA-256 over the sorted lines ``"<sha256>  <file name>\\n"`` of all files, the card
            among them: what ``sha256sum * | LC_ALL=C sort -k2 | sha256sum`` prints.
        card: the model card.
        features: the columns that the model reads.
        thresholds: probabilities by alert rate.
        drift_reference: frozen histograms.
        background: training rows for the explainer, float32 (b, k), in the model's columns.
        model: the bytes of the ONNX graph, as they were checked.
        tensors: those of a graph with the same answers by tensor operators alone, for engines
            without trees; None where the package has none.
    """

    folder: Path
    id: str
    card: Card = field(repr=False)
    features: FeatureColumns = field(repr=False)
    thresholds: Thresholds = field(repr=False)
    drift_reference: DriftReference = field(repr=False)
    background: NDArray[np.float32] = field(repr=False)
    model: bytes = field(repr=False)
    tensors: bytes | None = field(default=None, repr=False)

    @cached_property
    def short_id(self) -> str:
        """The first 12 hexadecimal digits of the id."""
        return self.id[:12]

    @classmethod
    def load(cls, folder: Path, expected_id: str | None = None) -> "ModelPackage":
        """Read and check the package in a folder.

        The card vouches for the other files; only `expected_id` (from a registry, an audit record)
        vouches for the card too.

        Raises:
            PackageError: the folder holds no package, a file is missing, was changed, or lies
                outside the folder, or the id is not the expected one.
        """
        content = {CARD: _read(folder, CARD)}
        card = _parse(Card, content[CARD], folder / CARD)
        if card.format != FORMAT:
            raise PackageError(
                f"{folder / CARD}: format {card.format} is not {FORMAT}, the one that this version "
                "of Weir reads: train the model again, or use the version of Weir that wrote it"
            )
        if missing := sorted(set(_REQUIRED) - set(card.files)):
            raise PackageError(f"{folder / CARD}: does not list {', '.join(missing)}")
        if len(card.files) > _MOST_FILES:
            raise PackageError(
                f"{folder / CARD}: lists {len(card.files):,} files: no model has that"
            )
        for name, sha256 in sorted(card.files.items()):
            content[name] = _read(folder, name)
            if _sha256(content[name]) != sha256:
                raise PackageError(
                    f"{folder / name} was changed after the package was written: its SHA-256 is "
                    f"{_sha256(content[name])}, its card says {sha256}. Fetch the package again"
                )
        identity = package_id(content)
        if expected_id is not None and identity != expected_id:
            raise PackageError(f"{folder}: expected package {expected_id}, found {identity}")
        features = _parse(FeatureColumns, content[FEATURES], folder / FEATURES)
        return cls(
            folder=folder,
            id=identity,
            card=card,
            features=features,
            thresholds=_parse(Thresholds, content[THRESHOLDS], folder / THRESHOLDS),
            drift_reference=_parse(
                DriftReference, content[DRIFT_REFERENCE], folder / DRIFT_REFERENCE
            ),
            background=_parse_background(content[BACKGROUND], features, folder / BACKGROUND),
            model=content[MODEL],
            tensors=content.get(TENSORS),
        )


def package_id(content: Mapping[str, bytes]) -> str:
    """Return the id of a package of these files, by name."""
    lines = (f"{_sha256(content[name])}  {name}\n" for name in sorted(content))
    return _sha256("".join(lines).encode())


def write_package(
    parent: Path,
    *,
    card: Card,
    model: bytes,
    tensors: bytes | None = None,
    features: FeatureColumns,
    thresholds: Thresholds,
    drift_reference: DriftReference,
    background: NDArray[np.float32],
) -> ModelPackage:
    """Write a package into `parent`, as a folder named by its short id, all at once.

    The same content is written only once: a package that is there already is checked and returned.

    Raises:
        PackageError: another folder of that name is there and is no sound package.
        OSError: `parent` cannot be written to.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(background, dtype=np.float32), allow_pickle=False)
    content = {
        MODEL: model,
        FEATURES: _to_json(features),
        THRESHOLDS: _to_json(thresholds),
        DRIFT_REFERENCE: _to_json(drift_reference),
        BACKGROUND: buffer.getvalue(),
    }
    if tensors is not None:
        content[TENSORS] = tensors
    files = {name: _sha256(data) for name, data in content.items()}
    content[CARD] = _to_json(card.model_copy(update={"files": files}))
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=parent) as temporary:
        folder = Path(temporary) / "package"
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
        return adopt_package(folder, parent, package_id(content))


def adopt_package(folder: Path, parent: Path, expected_id: str) -> ModelPackage:
    """Check a package and move it into `parent` (on the same disk), under its short id.

    If it is there already, that one is checked and returned, and `folder` stays where it is.

    Raises:
        PackageError: either is no sound package of that id.
    """
    target = parent / ModelPackage.load(folder, expected_id).short_id
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():
            raise
    return ModelPackage.load(target, expected_id)


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not _FILE_NAME.fullmatch(name) or path.is_symlink():
        raise PackageError(f"{folder}: file name {name!r} leads outside the package")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PackageError(f"{path} has more than {_MOST_BYTES >> 20:,} MiB: no model has that")
        return path.read_bytes()
    except FileNotFoundError:
        what = "no model package here" if name == CARD else "the package is incomplete"
        raise PackageError(f"{path} is missing: {what}") from None
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}") from error


def _parse(kind: type[_Part], data: bytes, path: Path) -> _Part:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise PackageError(f"{path}: {where + ': ' if where else ''}{problem['msg']}") from error


def _parse_background(data: bytes, features: FeatureColumns, path: Path) -> NDArray[np.float32]:
    try:
        rows = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise PackageError(f"{path}: {error}") from error
    if not isinstance(rows, np.ndarray):
        raise PackageError(f"{path}: it is an archive, and no array")
    width = len(features.names)
    if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != width:
        raise PackageError(f"{path}: {rows.dtype}{rows.shape} is not float32 of width {width}")
    return np.asarray(rows, dtype=np.float32)


def _to_json(part: Section) -> bytes:
    text = json.dumps(part.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
    return (text + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
