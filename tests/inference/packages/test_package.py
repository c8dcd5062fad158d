import hashlib
import json
import shutil

import numpy as np
import pytest

from inference.packages.package import ModelPackage, PackageError, adopt_package, write_package


@pytest.fixture
def copy(package, tmp_path):
    """The shared package in a folder of its own, to be damaged."""
    return shutil.copytree(package.folder, tmp_path / "copy")


def test_the_id_is_what_sha256sum_says(package):
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(package.folder.iterdir())
    ]
    assert package.id == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert package.folder.name == package.short_id == package.id[:12]


def test_a_copy_loads_as_the_same_package(package, copy):
    loaded = ModelPackage.load(copy, expected_id=package.id)
    assert loaded.card == package.card
    assert loaded.model == package.model
    np.testing.assert_array_equal(loaded.background, package.background)


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx",
        "model.tensors.onnx",
        "features.json",
        "thresholds.json",
        "drift_reference.json",
        "background.npy",
    ],
)
def test_one_changed_bit_in_any_file_is_refused(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(PackageError, match=f"{name} was changed"):
        ModelPackage.load(copy)


def test_a_changed_card_is_caught_by_the_expected_id(package, copy):
    card = json.loads((copy / "card.json").read_text())
    card["metrics"]["roc_auc"] = 1.0
    (copy / "card.json").write_text(json.dumps(card))
    assert ModelPackage.load(copy).id != package.id
    with pytest.raises(PackageError, match=f"expected package {package.id}"):
        ModelPackage.load(copy, expected_id=package.id)


@pytest.mark.parametrize("name", ["model.onnx", "card.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(PackageError, match=f"{name} is missing"):
        ModelPackage.load(copy)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", ""])
def test_a_path_that_leads_outside_is_refused(copy, name):
    (copy.parent / "secret").write_text("x")
    card = json.loads((copy / "card.json").read_text())
    card["files"][name] = hashlib.sha256(b"x").hexdigest()
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(PackageError, match="leads outside"):
        ModelPackage.load(copy)


def test_a_link_that_leads_outside_is_refused(copy):
    outside = (copy / "model.onnx").rename(copy.parent / "elsewhere")
    (copy / "model.onnx").symlink_to(outside)
    with pytest.raises(PackageError, match="leads outside"):
        ModelPackage.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2 is not 1"),
        ({"seed": "x"}, "card.json: seed: "),
        ({"surprise": 1}, "card.json: surprise: "),
        ({"files": {}}, "does not list background.npy, drift_reference.json"),
    ],
)
def test_a_card_that_is_not_one_is_explained(copy, change, message):
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | change))
    with pytest.raises(PackageError, match=message):
        ModelPackage.load(copy)


def test_text_that_is_no_json_is_explained(copy):
    (copy / "card.json").write_text("{")
    with pytest.raises(PackageError, match=r"card\.json: Invalid JSON"):
        ModelPackage.load(copy)


def test_a_background_of_another_width_is_refused(package, tmp_path):
    with pytest.raises(PackageError, match="width 6"):
        write_package(
            tmp_path,
            card=package.card,
            model=package.model,
            features=package.features,
            thresholds=package.thresholds,
            drift_reference=package.drift_reference,
            background=package.background[:, :5],
        )
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_files_that_would_fill_the_memory_are_refused_unread(copy):
    with (copy / "model.onnx").open("ab") as stream:
        stream.truncate(2 << 30)
    with pytest.raises(PackageError, match=r"model\.onnx has more than 1,024 MiB"):
        ModelPackage.load(copy)


def test_a_card_of_many_files_is_refused(copy):
    card = json.loads((copy / "card.json").read_text())
    card["files"] |= {f"f{i}": "" for i in range(100)}
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(PackageError, match=r"lists 10\d files"):
        ModelPackage.load(copy)


@pytest.mark.parametrize("archive", [True, False])
def test_a_background_that_is_an_archive_or_cut_is_refused(copy, archive):
    path = copy / "background.npy"
    if archive:
        with path.open("wb") as stream:
            np.savez_compressed(stream, a=np.zeros((10_000, 6), np.float32))
    else:
        path.write_bytes(path.read_bytes()[:30])
    card = json.loads((copy / "card.json").read_text())
    card["files"]["background.npy"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(PackageError, match=r"background\.npy"):
        ModelPackage.load(copy)


def test_writing_again_returns_the_first_and_leaves_nothing_behind(package, tmp_path):
    parts = {
        "card": package.card,
        "model": package.model,
        "tensors": package.tensors,
        "features": package.features,
        "thresholds": package.thresholds,
        "drift_reference": package.drift_reference,
        "background": package.background,
    }
    first = write_package(tmp_path, **parts)
    second = write_package(tmp_path, **parts)
    assert first.id == second.id == package.id
    assert [path.name for path in tmp_path.iterdir()] == [package.short_id]


def test_a_damaged_package_in_the_way_is_not_taken_for_the_new_one(package, copy, tmp_path):
    in_the_way = tmp_path / package.short_id
    in_the_way.mkdir()
    (in_the_way / "card.json").write_text("{}")
    with pytest.raises(PackageError):
        adopt_package(copy, tmp_path, package.id)


def test_a_package_without_the_tensor_form_is_one_of_the_same_format(package, tmp_path):
    parts = {
        "card": package.card.model_copy(update={"tensors_left_out": "trees of 100 levels"}),
        "model": package.model,
        "features": package.features,
        "thresholds": package.thresholds,
        "drift_reference": package.drift_reference,
        "background": package.background,
    }
    without = write_package(tmp_path, **parts)
    assert without.tensors is None
    assert not (without.folder / "model.tensors.onnx").exists()
    assert without.card.tensors_left_out == "trees of 100 levels"
    assert write_package(tmp_path, **parts, tensors=package.tensors).id != without.id


def test_a_card_of_before_the_tensor_form_is_read(package, tmp_path):
    folder = shutil.copytree(package.folder, tmp_path / "old")
    (folder / "model.tensors.onnx").unlink()
    card = json.loads((folder / "card.json").read_text())
    del card["files"]["model.tensors.onnx"], card["tensors_left_out"]
    (folder / "card.json").write_text(json.dumps(card))
    assert ModelPackage.load(folder).tensors is None
