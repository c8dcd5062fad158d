"""Transactions whose end can't be waited for."""

import threading
from collections.abc import Callable
from time import monotonic

import pytest

from streams import transactor as transactor_module
from streams.kafka import KafkaSettings
from streams.transactor import Outgoing, OutlivedError, Transactor

MakeTopics = Callable[..., tuple[str, ...]]


def test_a_call_that_never_comes_back_is_not_waited_for(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactor_module, "_OVERDUE_S", 0.0)
    (topic,) = make_topics("stuck")
    transactor = Transactor(KafkaSettings(bootstrap_servers=kafka), topic, 1_000)
    transactor.start()
    released = threading.Event()

    def stuck() -> object:
        released.wait()
        yield None

    try:
        transactor.submit([Outgoing(topic, [b"a"], stuck(), [0])], [], None)  # type: ignore[arg-type]
        assert transactor.settle(wait=False) is None
        start = monotonic()
        with pytest.raises(OutlivedError, match="has not come back for over 1 s: start again"):
            transactor.settle(wait=True)
        assert monotonic() - start >= 0.9
        with pytest.raises(OutlivedError):
            transactor.settle(wait=False)
        transactor.close()  # does not wait either
        assert not released.is_set()
    finally:
        released.set()
