"""Each plan is built once: by one process, until anything that it depends on changes."""

import errno
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from inference.backends.tensorrt.blob_store import BlobStore
from inference.backends.tensorrt.build import BuildRequest
from inference.backends.tensorrt.driver import Gpu
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.backends.tensorrt.library import Library
from inference.backends.tensorrt.plan_cache import PlanCache, plan_key
from inference.backends.tensorrt.profiles import profiles_of
from inference.engine.protocol import EngineError
from streams.base.atomic_file import atomic_file
from streams.base.file_lock import file_lock

REQUEST = BuildRequest("model", b"graph", 6, profiles_of((1, 8)), "float32", 1 << 30)
LIBRARY = Library("tensorrt", "10.14.1", None, None)
GPU = Gpu("NVIDIA H200", (9, 0), 139 << 30, "CUDA 13.0")


@pytest.fixture
def cache(tmp_path):
    return PlanCache(BlobStore(tmp_path), 1 << 20)


class Builder:
    """Counts its builds."""

    def __init__(self, plan=b"plan"):
        self.plan = plan
        self.builds = 0

    def __call__(self):
        self.builds += 1
        return self.plan


def test_a_plan_is_built_once(cache):
    build = Builder()
    assert [cache.get("ab", build) for _ in range(3)] == [b"plan"] * 3
    assert build.builds == 1
    cache.forget("ab")
    cache.get("ab", build)
    assert build.builds == 2


@pytest.mark.parametrize(
    ("request_changes", "library_changes", "gpu_changes"),
    [
        ({"model": b"other graph"}, {}, {}),
        ({"width": 7}, {}, {}),
        ({"profiles": profiles_of((1, 16))}, {}, {}),
        ({"precision": "tf32"}, {}, {}),
        ({"memory": 1 << 20}, {}, {}),
        ({"compute_capability": (8, 6)}, {}, {}),
        ({}, {"flavour": "tensorrt_rtx"}, {}),
        ({}, {"version": "10.14.2"}, {}),
        ({}, {}, {"name": "NVIDIA L4"}),
        ({}, {}, {"compute_capability": (8, 9)}),
        ({}, {}, {"driver": "CUDA 13.1"}),
    ],
)
def test_whatever_a_plan_depends_on_makes_another_key(
    request_changes, library_changes, gpu_changes
):
    key = plan_key(REQUEST, LIBRARY, GPU)
    other = plan_key(
        replace(REQUEST, **request_changes),
        replace(LIBRARY, **library_changes),
        replace(GPU, **gpu_changes),
    )
    assert other != key
    assert plan_key(replace(REQUEST, name="renamed"), LIBRARY, GPU) == key
    assert plan_key(REQUEST, LIBRARY, None) != key


@pytest.mark.parametrize("damage", [lambda data: data[:-2], lambda data: b""])
def test_a_damaged_plan_is_built_anew(cache, damage):
    build = Builder()
    cache.get("ab", build)
    path = cache.store.folder / "ab.plan"
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("ab", build) == b"plan"
    assert build.builds == 2
    assert cache.get("ab", build) == b"plan"
    assert build.builds == 2


def test_a_plan_of_another_key_is_built_anew(cache):
    cache.get("ab", Builder(b"of ab"))
    (cache.store.folder / "ab.plan").rename(cache.store.folder / "cd.plan")
    assert cache.get("cd", Builder(b"of cd")) == b"of cd"


def test_a_failed_build_leaves_nothing(cache):
    def fail():
        raise EngineError("no")

    with pytest.raises(EngineError, match="no"):
        cache.get("ab", fail)
    assert cache.get("ab", Builder()) == b"plan"


def _die_while_building(folder):
    def die():
        with atomic_file(folder / "ab.plan") as file:
            file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    PlanCache(BlobStore(folder), 1 << 20).get("ab", die)


def _build(folder, builds):
    def build():
        with builds.get_lock():
            builds.value += 1
        return b"plan"

    assert PlanCache(BlobStore(folder), 1 << 20).get("ab", build) == b"plan"


def test_an_interrupted_build_is_begun_again(cache):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_die_while_building, args=(cache.store.folder,))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    assert cache.get("ab", Builder()) == b"plan"


def test_of_two_processes_one_builds(cache):
    context = multiprocessing.get_context("fork")
    builds = context.Value("i", 0)
    processes = [
        context.Process(target=_build, args=(cache.store.folder, builds)) for _ in range(3)
    ]
    with file_lock(cache.store.folder / "build-ab.lock"):
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert builds.value == 1


def test_waiting_for_another_process_can_be_cancelled(cache):
    with (
        file_lock(cache.store.folder / "build-ab.lock"),
        pytest.raises(BuildCancelledError, match="waiting for another"),
    ):
        cache.get("ab", Builder(), lambda: True)


def test_a_plan_that_cannot_be_kept_is_used_all_the_same(cache, monkeypatch, caplog):
    def no_space(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BlobStore, "write", no_space)
    assert cache.get("ab", Builder()) == b"plan"
    assert "can't save the built engine" in caplog.text


def test_a_folder_that_is_read_only_serves_what_it_has(cache, monkeypatch, caplog):
    cache.get("ab", Builder())

    def read_only(path, *arguments, **more):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("streams.base.file_lock.os.open", _refusing_to_write)
        patched.setattr("inference.backends.tensorrt.blob_store.os.utime", read_only)
        patched.setattr(Path, "unlink", read_only)
        assert cache.get("ab", Builder(b"other")) == b"plan"
        assert cache.get("cd", Builder(b"missing")) == b"missing"
        assert "other processes may build the same" in caplog.text
        cache.forget("ab")
        assert "can't delete the cached engine" in caplog.text


def _refusing_to_write(path, flags, *mode, open_=os.open):
    if flags & (os.O_WRONLY | os.O_RDWR):
        raise OSError(errno.EROFS, "Read-only file system", str(path))
    return open_(path, flags, *mode)


def test_old_plans_make_room(tmp_path):
    cache = PlanCache(BlobStore(tmp_path), 3_000)
    for name in ("aa", "bb", "cc"):
        cache.get(name, Builder(bytes(1_400)))
    assert sorted(path.stem for path in tmp_path.glob("*.plan")) == ["bb", "cc"]
