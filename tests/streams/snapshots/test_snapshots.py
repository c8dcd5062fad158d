"""The parts of a snapshot: framing, pointers, and the forked copy."""

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.client import KafkaSettings
from streams.snapshots import Pointer, SnapshotSettings, SnapshotTaker, newest_pointer
from streams.snapshots.fork import ForkedWriter
from streams.snapshots.parts import PART_BYTES, frame, read_parts, unframe


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_framed_buffers_come_back(buffers: list[bytes]) -> None:
    stream = b"".join(bytes(piece) for piece in frame(buffers))
    assert [bytes(buffer) for buffer in unframe(stream)] == buffers


@given(st.lists(st.binary(max_size=50), max_size=4), st.data())
def test_a_stream_of_another_length_is_refused(buffers: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(bytes(piece) for piece in frame(buffers))
    length = data.draw(st.integers(0, len(stream) - 1))
    for wrong in (stream[:length], stream + b"x", b"\xff" * 8 + stream[8:]):
        with pytest.raises(
            ValueError, match=r"its own table of contents|what its table of contents says"
        ):
            unframe(wrong)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES - 1])
def test_parts_are_all_of_the_stream(size: int) -> None:
    content = np.random.default_rng(1).bytes(size)
    parts = list(read_parts(io.BytesIO(content)))
    assert b"".join(parts) == content
    assert all(len(part) == PART_BYTES for part in parts[:-1])


@given(st.tuples(*[st.integers(0, 2**62)] * 4))
def test_a_pointer_comes_back_from_the_metadata(numbers: tuple[int, int, int, int]) -> None:
    pointer = Pointer(*numbers)
    assert Pointer.parse(pointer.metadata()) == pointer


@pytest.mark.parametrize(
    "metadata", [None, "", "anything", "weir-snapshot 1 2 3", "weir-snapshot 1 2 3 x", "a 1 2 3 4"]
)
def test_metadata_of_others_is_no_pointer(metadata: str | None) -> None:
    assert Pointer.parse(metadata) is None


def test_the_newest_pointer_is_that_of_the_largest_sequence() -> None:
    pointers = [Pointer(9, 0, 5, 7), Pointer(10, 0, 1, 2), Pointer(8, 1, 90, 91)]
    assert newest_pointer([None, *(each.metadata() for each in pointers), "x"]) == pointers[1]
    assert newest_pointer([None, ""]) is None


def test_the_copy_is_of_the_moment_of_the_fork() -> None:
    state = np.zeros(3_000_000)
    writer = ForkedWriter(lambda: [memoryview(state).cast("B")])
    state += 1.0
    copy = np.frombuffer(writer.stream.read(), np.float64)
    assert writer.close()
    assert copy.size == state.size
    assert not copy.any()


def test_a_copy_that_nobody_wants_ends() -> None:
    writer = ForkedWriter(lambda: [bytes(10_000_000)])
    start = time.monotonic()
    assert not writer.close()
    assert time.monotonic() - start < 30


def test_a_copy_that_fails_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> list[bytes]:
        raise RuntimeError("no such state")

    writer = ForkedWriter(fails)
    assert writer.stream.read() == b""
    assert not writer.close()
    assert "no such state" in capfd.readouterr().err


def test_no_memory_for_a_copy_is_no_reason_to_end(
    kafka: str, make_topics: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (topic,) = make_topics("snapshots")
    seen: list[str] = []
    taker = SnapshotTaker(
        KafkaSettings(bootstrap_servers=kafka),
        settings=SnapshotSettings(every_events=1),
        topic=topic,
        group="group",
        observe=lambda outcome, *_: seen.append(outcome),
    )
    taker.note_events(1)
    assert taker.due

    def refuse() -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("os.fork", refuse)
    taker.take(lambda: [b"state"], [])
    assert seen == ["failed"]
    assert taker.finished() is None
    monkeypatch.undo()
    taker.note_events(1)
    taker.take(lambda: [b"state"], [])
    deadline = time.monotonic() + 60
    while (pointer := taker.finished()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (pointer.sequence, pointer.first, pointer.last) == (1, 0, 1)
    assert seen == ["failed", "written"]
    taker.close()
