"""A process apart has nothing but what it was given, and nothing of it is left."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import psutil
import pytest

from streams.base.apart import landlock, system_calls
from streams.base.apart.starter import (
    Apart,
    ApartStoppedError,
    Bounds,
    Ended,
    NotStartedError,
    import_path,
    is_plain_file,
    missing_guards,
)

ROOT = Path(__file__).parents[4]
BOUNDS = Bounds(cpu_s=20, wall_s=60, memory_mb=1_000, file_mb=1)
DONE = "\nopen('out', 'w').write('done')"

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's guards are Linux's")
with_seccomp = pytest.mark.skipif(
    sys.platform != "linux" or not system_calls.available(), reason="no seccomp here"
)
with_landlock = pytest.mark.skipif(
    sys.platform != "linux" or not landlock.version(), reason="no Landlock here"
)


def run(code: str, bounds: Bounds = BOUNDS, **more) -> tuple[Ended, str]:
    """How code ends apart, and what it wrote to its file ``out``; `timeit` runs it, once."""
    with Apart("test", bounds) as apart:
        ended = apart.run("timeit", ["-n1", "-r1", "-s", code], outputs=["out"], **more)
        return ended, apart.read("out").decode()


def refused(code: str, error: str = "PermissionError", **more) -> None:
    """Check that code fails apart, and does not get to its end."""
    ended, out = run(code + DONE, **more)
    assert (ended.code, out) == (1, "")
    assert error in ended.said


def test_it_runs_a_module_that_finds_what_is_installed() -> None:
    ended, out = run("import numpy, inference" + DONE)
    assert (ended.code, ended.overstayed, out) == (0, False, "done")


def test_it_inherits_no_environment_and_no_open_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WEIR_KAFKA__SASL_PASSWORD", "a marked secret")
    secret = tmp_path / "secret"
    secret.write_text("a marked secret")
    with secret.open() as stream:
        os.set_inheritable(stream.fileno(), True)
        _, out = run(
            "import os\nfound = sorted(os.environ)\n"
            "open_files = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
            " if os.path.islink(f'/proc/self/fd/{n}')]\n"
            "open('out', 'w').write(repr((found, open_files)))"
        )
    found, open_files = eval(out)
    given = {"PATH", "PYTHONPATH", *(f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "OPENBLAS"))}
    assert set(found) - {"LC_CTYPE"} == given
    assert str(secret) not in open_files


def test_what_lies_in_the_callers_folder_is_not_imported(tmp_path) -> None:
    """Neither in place of the standard library, nor of what is installed, nor of ours."""
    for name in ("resource", "json", "ctypes", "runpy", "timeit", "numpy", "streams", "onnx"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')")
    call = (
        "from streams.base.apart.starter import Apart, Bounds, import_path\n"
        "assert '' not in map(str, import_path())\n"
        "with Apart('test', Bounds(20, 60, 1_000, 1)) as apart:\n"
        "    code = 'import numpy, onnx, resource, streams'\n"
        "    ended = apart.run('timeit', ['-n1', '-r1', code])\n"
        "    assert ended.code == 0, ended\n"
    )
    for path in ("", ".", str(tmp_path), f"{os.pathsep}{ROOT}"):
        environment = os.environ | {"PYTHONPATH": path}
        # -P, as an installed command has it; what its children find is what counts here.
        program = f"import sys; sys.path[:] = [p for p in sys.path if p != {str(tmp_path)!r}]\n"
        subprocess.run(
            [sys.executable, "-P", "-c", program + call], cwd=tmp_path, env=environment, check=True
        )
    assert not (tmp_path / "PWNED").exists()


def test_a_script_of_another_folder_lends_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", "relative"]))
    assert tmp_path not in import_path()
    assert all(each.is_absolute() for each in import_path())


@with_seccomp
@pytest.mark.parametrize(
    "call",
    [
        "import socket; socket.create_connection(('127.0.0.1', PORT))",
        "import socket; socket.socketpair()",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os; os.execv('/bin/true', ['true'])",
        "import os; os.setsid()",
        "import os; os.kill(os.getppid(), 0)",
        "import signal; signal.pidfd_send_signal(0, 0)",
        "import os; os.chmod('out', 0o777)",
        "import os; os.truncate('out', 7)",
        "import os; os.memfd_create('x')",
        "import ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
        "if l.syscall(234, PARENT, PARENT, 9) < 0: raise PermissionError",
        "import ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
        "if l.ptrace(16, PARENT, 0, 0) < 0: raise PermissionError",
        "import ctypes; l = ctypes.CDLL(None, use_errno=True)\n"
        "if l.unshare(0x10000000) < 0: raise PermissionError",
    ],
)
def test_no_network_no_children_no_way_out(call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        refused(call.replace("PORT", port).replace("PARENT", str(os.getpid())))


@with_landlock
@pytest.mark.parametrize(
    "call",
    [
        "open('SECRET').read()",
        "open('other', 'w')",
        "import os; os.mkdir('sub')",
        "import os; os.remove('out')",
        "import os; os.symlink('SECRET', 'link')",
        "import os; os.link('out', 'second')",
        "import os; os.mkfifo('pipe')",
        "open('/etc/passwd').read()",
        "open('/proc/PARENT/environ').read()",
        "open('/proc/PARENT/mem', 'rb').read()",
        "import os; os.listdir('/')",
        "open('/dev/tty', 'w')",
        "open('ROOT/pyproject.toml').read()",
    ],
)
def test_other_files_are_closed_to_it(call, tmp_path) -> None:
    (tmp_path / "secret").write_text("a marked secret")
    for word, value in {"SECRET": tmp_path / "secret", "PARENT": os.getpid(), "ROOT": ROOT}.items():
        call = call.replace(word, str(value))
    error = "OSError" if "/dev/tty" in call and not os.path.exists("/dev/tty") else ""
    refused(call, error or "PermissionError")


@with_landlock
def test_of_a_folder_on_the_path_it_reads_modules_only(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.py").write_text("x = 1")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "__init__.py").write_text("y = 2")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "key.pem").write_text("a marked secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended, out = run("import mine, ours" + DONE)
    assert (ended.code, out) == (0, "done")
    refused(f"open({str(tmp_path / 'var' / 'key.pem')!r})")


@with_landlock
def test_what_it_is_given_it_reads(tmp_path) -> None:
    (tmp_path / "model").write_text("weights")
    code = f"open('out', 'w').write(open({str(tmp_path / 'model')!r}).read())"
    assert run(code, readable=[tmp_path / "model"])[1] == "weights"


@linux
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("f = open('out', 'w'); f.write('x' * 3_000_000); f.flush()", "File too large"),
        ("held = [open('out') for _ in range(100)]", "Too many open files"),
        ("held = bytearray(2 << 30)", "MemoryError"),
        ("import resource; resource.setrlimit(resource.RLIMIT_CORE, (9, 9))", "Error"),
    ],
)
def test_its_limits_hold(code, error) -> None:
    ended, _ = run(code)
    assert ended.code == 1
    assert error in ended.said


@linux
def test_its_limits_can_not_be_lifted() -> None:
    code = (
        "import resource as r\n"
        "for each in (r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_NPROC, r.RLIMIT_CPU):\n"
        "    soft, hard = r.getrlimit(each)\n"
        "    assert hard != r.RLIM_INFINITY\n"
        "    try:\n"
        "        r.setrlimit(each, (hard + 1, hard + 1))\n"
        "    except (ValueError, OSError):\n"
        "        continue\n"
        "    raise SystemExit(9)"
    )
    assert run(code + DONE)[1] == "done"


@linux
def test_its_processor_time_ends_it() -> None:
    ended, _ = run("while True: pass", Bounds(1, 60, 1_000, 1))
    assert ended.took_all_cpu
    assert str(ended) == "was ended by SIGXCPU"


def test_its_time_by_the_clock_ends_it() -> None:
    ended, _ = run("import time; time.sleep(60)", Bounds(60, 0.5, 1_000, 1))
    assert ended.overstayed
    assert str(ended) == "took too long"


def test_a_stop_ends_it() -> None:
    start = monotonic()
    with pytest.raises(ApartStoppedError):
        run("import time; time.sleep(60)", stopped=lambda: True)
    assert monotonic() - start < 30


def test_a_link_in_place_of_its_output_is_not_followed(tmp_path, monkeypatch) -> None:
    """Also where the kernel would let it make one."""
    from streams.base.apart import starter

    monkeypatch.setattr(starter, "_guards", dict)
    (tmp_path / "secret").write_text("a marked secret")
    code = f"import os; os.remove('out'); os.symlink({str(tmp_path / 'secret')!r}, 'out')"
    ended, out = run(code)
    assert (ended.code, out) == (0, "")


@linux
def test_its_whole_session_ends_with_it(monkeypatch) -> None:
    """Also where the kernel would let it start others, and they hold what it was given."""
    from streams.base.apart import starter

    monkeypatch.setattr(starter, "_guards", dict)
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('out', 'w').write(str(child.pid))"
    )
    ended, out = run(code)
    assert ended.code == 0
    child = psutil.Process(int(out)) if psutil.pid_exists(int(out)) else None
    assert child is None or child.wait(10) is None or child.status() == psutil.STATUS_ZOMBIE


@linux
def test_who_left_its_session_does_not_keep_us_waiting(monkeypatch) -> None:
    from streams.base.apart import starter

    monkeypatch.setattr(starter, "_guards", dict)
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "open('out', 'w').write(str(child.pid))"
    )
    start = monotonic()
    _, out = run(code)
    os.kill(int(out), signal.SIGKILL)
    assert monotonic() - start < 40


@linux
def test_it_ends_when_we_are_killed(tmp_path) -> None:
    call = (
        "import sys\n"
        "from streams.base.apart.starter import Apart, Bounds\n"
        "with Apart('test', Bounds(60, 60, 1_000, 1)) as apart:\n"
        "    print(apart.folder, flush=True)\n"
        "    apart.run('timeit', ['-n1', '-r1', '-s', "
        '\'import os, time; open("out", "w").write(str(os.getpid())); time.sleep(60)\'],'
        " outputs=['out'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        out = Path(parent.stdout.readline().strip()) / "out"
        deadline = monotonic() + 60
        while not (out.exists() and out.read_text()) and monotonic() < deadline:
            pass
        child = psutil.Process(int(out.read_text()))
        parent.kill()
    assert child.wait(30) is None


def test_a_bound_that_can_not_be_had_means_that_nothing_runs(monkeypatch) -> None:
    from streams.base.apart import starter

    monkeypatch.setattr(starter, "_guards", lambda: {"landlock": True, "seccomp": True})
    with pytest.raises(NotStartedError, match="can't bound a process"):
        run("pass", Bounds(20, 60, 1_000, 1, nice=10**12))


def test_what_the_kernel_lacks_is_said_once(monkeypatch, caplog) -> None:
    from streams.base.apart import starter

    monkeypatch.setattr(starter, "_guards", lambda: {"landlock": False, "seccomp": False})
    missing_guards.cache_clear()
    said = [missing_guards(), missing_guards()]
    missing_guards.cache_clear()
    assert len(said[0]) == 2
    assert len(caplog.records) == 2
    assert "Landlock" in caplog.text
    assert "network" in caplog.text


def test_links_pipes_and_devices_are_no_plain_files(tmp_path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    plain = [is_plain_file(tmp_path / name) for name in ("file", "link", "pipe", "a" * 300, "\0")]
    assert plain == [True, False, False, False, False]
