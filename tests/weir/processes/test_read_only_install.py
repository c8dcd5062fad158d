"""A container: the installation is read-only, and its user has no home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from front_door import environment, write_events, write_settings

from weir.main import main

ROOT = Path(__file__).parents[3]
ROOMS = ("streams", "inference", "explain", "weir")
AS_ANYBODY = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Root without its rights, which would write into folders that are read-only."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    if AS_ANYBODY and shutil.which(AS_ANYBODY[0]) is None:
        pytest.skip("root writes everywhere, and there is no setpriv to take that right from it")
    copy = tmp_path / "installed"
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room)
    for folder, _, _ in os.walk(copy):
        os.chmod(folder, 0o555)
    return copy


@pytest.mark.slow
def test_commands_run_where_the_installation_is_read_only(installed: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    events = write_events(work / "events.parquet", days=20)
    write_settings(work / "weir.toml")

    def said(*arguments: str) -> str:
        ours = environment(PYTHONPATH=str(installed), HOME="/proc/none")
        done = subprocess.run(
            [*AS_ANYBODY, sys.executable, "-m", "weir", *arguments],
            capture_output=True,
            text=True,
            cwd=work,
            env=ours,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said("init", "fresh.toml")
    assert (work / "fresh.toml").is_file()
    assert "no models yet" in said("models", "list")
    said("features", str(events), "--out", "features.parquet")
    assert (work / "features.parquet").is_file()


@pytest.mark.parametrize("command", ["init", "cluster.topics", "models.models", "models.evaluate"])
def test_commands_that_need_no_kernels_do_not_bring_numba(command: str) -> None:
    check = (
        f"import sys, weir.commands.{command}\n"
        "assert not {'numba', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT, timeout=60)


def test_onnx_runtime_tells_its_makers_nothing(tmp_path: Path) -> None:
    """It would write an id of the machine into the home, and send what models there are."""
    ours = environment(HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    ours.pop("ORT_DISABLE_TELEMETRY", None)
    check = "import inference.engine.onnx_session, weir.commands.bench, onnxruntime"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT, env=ours, timeout=60)
    assert not list(tmp_path.iterdir())


def test_a_user_that_is_but_a_number_has_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # KeyError, as for an unknown number
    monkeypatch.setattr("sys.argv", ["weir", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert Path.home() == Path("/")
