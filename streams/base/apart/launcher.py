"""Bounds this process, then runs a module in it: ``python -I -S launcher.py ORDER``.

`starter` writes the order, a file of JSON. All bounds hold before anything is imported that does
not come from the standard library or from this folder.
"""

import ctypes
import json
import os
import runpy
import signal
import sys
from threading import Thread
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
NOT_BOUNDED = 120
"""The exit code where a bound that was asked for can't be had: then nothing has been run."""
_FIRST_TO_GO = "1000"
_MORE_THREADS = 64


def main() -> None:
    """Do what the order says."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        order: dict[str, Any] = json.load(stream)
    try:
        _bound(order)
    except Exception as error:
        sys.stderr.write(f"a bound can't be had: {type(error).__name__}: {error}\n")
        sys.exit(NOT_BOUNDED)
    sys.argv = [order["module"], *order["arguments"]]
    sys.path += [path for path in order["path"] if path not in sys.path]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def _bound(order: dict[str, Any]) -> None:
    import resource  # here: whoever starts us imports this file as well, and has no need of it

    sys.path.append(order["path"][0])  # ours
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        try:  # where memory runs short, we go before whoever started us
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
                stream.write(_FIRST_TO_GO)
        except OSError:
            pass
    if os.getppid() != order["parent"]:  # it ended before the kernel knew
        sys.exit(NOT_BOUNDED)
    os.nice(order["nice"])
    cpu = order["cpu_s"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (order["file_mb"] << 20,))
    resource.setrlimit(resource.RLIMIT_NOFILE, 2 * (order["files"],))
    resource.setrlimit(resource.RLIMIT_AS, 2 * (order["memory_mb"] << 20,))
    _bound_processes(resource)
    from streams.base.apart import landlock, system_calls

    if "landlock" in order["guards"]:
        landlock.restrict(order["readable"], order["listable"], order["writable"])
    if "seccomp" in order["guards"]:
        system_calls.restrict()


def _bound_processes(resource: Any) -> None:
    """Let this user have a few threads and processes more than there are; root has no such bound.

    How many there are can't be looked up everywhere: the kernel counts those of other containers,
    too. So we try how many it takes for one more.
    """
    _, highest = resource.getrlimit(resource.RLIMIT_NPROC)
    if highest == resource.RLIM_INFINITY:
        highest = 1 << 22
    enough = 64
    while enough < highest:
        resource.setrlimit(resource.RLIMIT_NPROC, (enough, highest))
        try:
            one = Thread(target=int)
            one.start()
        except RuntimeError:
            enough *= 2
        else:
            one.join()
            break
    most = min(enough + _MORE_THREADS, highest)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


if __name__ == "__main__":
    main()
