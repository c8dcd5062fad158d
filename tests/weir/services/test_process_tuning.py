"""What keeps the loop going while a model is made ready."""

import gc
import os
import sys
from threading import Thread, get_native_id

import pytest

from weir.services.process_tuning import give_way, share_the_lock, spare_the_collector


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own here")
def test_only_the_thread_that_gives_way_waits_for_the_others():
    before = os.getpriority(os.PRIO_PROCESS, get_native_id())
    found: list[int] = []

    def run() -> None:
        give_way()
        found.append(os.getpriority(os.PRIO_PROCESS, get_native_id()))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert found == [min(before + 10, 19)]
    assert os.getpriority(os.PRIO_PROCESS, get_native_id()) == before


def test_the_lock_changes_hands_within_a_millisecond():
    before = sys.getswitchinterval()
    try:
        share_the_lock()
        assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)


def test_what_was_made_before_is_not_looked_at_again():
    made = [[number] for number in range(1_000)]
    before = gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > len(made)
        assert not any(each is made for each in gc.get_objects())
        # One batch of messages sets no pass off.
        assert gc.get_threshold()[0] > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
