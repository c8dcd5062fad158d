"""SIGTERM and Ctrl-C are both an orderly request to stop."""

import signal
import subprocess
import sys

import pytest

from weir.services.stopping import stop_on_signals

# Looks at what is set as often as it can, while another process tells it to stop again and again.
STORM = """
import subprocess, sys
from weir.services.stopping import stop_on_signals

stop = stop_on_signals()
SENDER = "import os\\nfor _ in range(100_000): os.kill(os.getppid(), 15)"
sender = subprocess.Popen([sys.executable, "-c", SENDER])
while sender.poll() is None:
    stop.wait(1e-6)
print(stop.wait(10))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_ends_nothing(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = stop_on_signals()
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.wait(10)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_many_signals_at_once_stop_nothing_for_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STORM], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
