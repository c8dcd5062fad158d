"""Files that are read only whole, unchanged, and as this user's own."""

import os

import pytest

from inference.backends.tensorrt.blob_store import BlobStore
from inference.engine.protocol import EngineError


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "engines")


def test_what_is_written_is_read(store):
    assert store.read("a", "identity") is None
    store.write("a", "identity", b"first")
    store.write("a", "identity", b"second")
    assert store.read("a", "identity") == b"second"
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert (store.folder / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in store.folder.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-1], "damaged"),
        (lambda data: data[:20], "damaged|another model"),
        (lambda data: b"", "not written by Weir"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: data + b"x", "damaged"),
        (lambda data: b"ELF" + data, "not written by Weir"),
    ],
)
def test_what_is_not_whole_is_absent(store, caplog, damage, said):
    store.write("a", "identity", b"content")
    path = store.folder / "a"
    path.write_bytes(damage(path.read_bytes()))
    assert store.read("a", "identity") is None
    (record,) = caplog.records
    assert any(part in record.message for part in said.split("|"))


def test_a_file_under_another_name_is_absent(store, caplog):
    store.write("a", "one", b"content")
    (store.folder / "a").rename(store.folder / "b")
    assert store.read("b", "another") is None
    assert "written for another model" in caplog.text


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_may_write_is_absent(store, caplog, mode):
    store.write("a", "identity", b"content")
    (store.folder / "a").chmod(mode)
    assert store.read("a", "identity") is None
    assert "written by others" in caplog.text
    store.write("a", "identity", b"content")
    assert store.read("a", "identity") == b"content"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_another_user_wrote_is_absent(store, caplog):
    store.write("a", "identity", b"content")
    os.chown(store.folder / "a", 1, 1)
    assert store.read("a", "identity") is None
    assert "belongs to user 1" in caplog.text


def test_a_link_is_not_followed(store, tmp_path):
    store.write("a", "identity", b"content")
    (store.folder / "a").rename(tmp_path / "elsewhere")
    (store.folder / "a").symlink_to(tmp_path / "elsewhere")
    assert store.read("a", "identity") is None


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_write_is_refused(tmp_path, mode):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(EngineError, match=r"may be written by others.*chmod 700"):
        BlobStore(folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match=r"engine\.cache_dir .*file/engines"):
        BlobStore(tmp_path / "file" / "engines")


def test_a_write_that_fails_leaves_what_was_there(store, monkeypatch):
    store.write("a", "identity", b"content")

    def no_space(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        store.write("a", "identity", b"new")
    assert store.read("a", "identity") == b"content"
    assert [path.name for path in store.folder.iterdir()] == ["a"]


def test_the_longest_unused_go_first(store):
    for age, name in enumerate(("old.plan", "used.plan", "new.plan")):
        store.write(name, name, bytes(1000))
        os.utime(store.folder / name, (age, age))
    store.write("other.lock", "other", bytes(5000))
    store.touch("used.plan")
    store.evict((".plan",), 2_500, keep="new")
    assert store.read("old.plan", "old.plan") is None
    assert store.read("used.plan", "used.plan") is not None
    store.evict((".plan",), 0, keep="new")
    assert sorted(path.name for path in store.folder.iterdir()) == ["new.plan", "other.lock"]
