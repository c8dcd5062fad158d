"""Children that are ours: they do not outlive us, and import nothing from the caller's folder."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence

from streams.base import launcher


def tied_to_us(command: Sequence[str]) -> list[str]:
    """A command that starts another one which the kernel stops when we end, however we end.

    The child gets SIGTERM. Its process id is that of the program itself. Not by ``preexec_fn``,
    which runs our code between fork and exec, where a lock that another thread holds is never
    released.

    As it came where that can't be had: only Linux can, and only for a start from the main thread.
    """
    # The kernel counts the starting *thread* as the parent, and only the main one lasts.
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return list(command)
    # Without site-packages and the environment's PYTHON...: it takes some 30 ms.
    return [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), *command]


def our_module(name: str, *arguments: str) -> list[str]:
    """A command that runs a module of ours as ``python -m`` does, without the caller's folder.

    ``-m`` alone puts the current folder first on the path, and modules that lie there before ours.
    """
    return [sys.executable, "-P", "-m", name, *arguments]


def without_relative_imports(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment of which ``PYTHONPATH`` names no folder that depends on where one is."""
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [each for each in given if os.path.isabs(each)]
    rest = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    return rest | ({"PYTHONPATH": os.pathsep.join(kept)} if kept else {})
