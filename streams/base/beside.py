"""Work in a thread beside other work: whichever fails ends both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def beside(work: Callable[[], object], stop: Event, name: str) -> Iterator[None]:
    """Work in a thread while the block runs; the block's end waits for the thread's.

    Args:
        stop: set when the work fails: the block has to end then. The block, or who is outside, says
            to the work when to end.
        name: of the thread.

    Raises:
        Exception: what the work raised, unless the block raises itself.
    """
    failures: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            failures.append(error)
            stop.set()

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]
