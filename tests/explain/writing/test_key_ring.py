"""Tokens in place of identifiers, and what is left after an erasure."""

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.writing.key_ring import KeyRing, KeyRingError, _name
from explain.writing.subject import Subject

CARD = "4000123412341234"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "ring"


@pytest.fixture
def ring(path: Path) -> Iterator[KeyRing]:
    with KeyRing.make(path) as ring:
        yield ring


def test_a_token_is_stable_and_tells_nothing(ring: KeyRing) -> None:
    token = ring.subject("card", CARD).token
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    assert ring.subject("card", CARD).token == token
    assert ring.subject("card", int(CARD)).token == token
    others = {
        ring.subject("card", CARD + "1").token,
        ring.subject("device", CARD).token,
        ring.subject("card", "").token,
    }
    assert len(others | {token}) == 4
    with KeyRing(ring.path) as again:
        assert again.subject("card", CARD).token == token


def test_another_ring_gives_other_tokens(ring: KeyRing, tmp_path: Path) -> None:
    with KeyRing.make(tmp_path / "other") as other:
        assert other.subject("card", CARD).token != ring.subject("card", CARD).token


@settings(deadline=None, max_examples=50)
@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_no_two_subjects_are_the_same_bytes(one: tuple[str, str], two: tuple[str, str]) -> None:
    assert (_name(*one) == _name(*two)) == (one == two)


def test_looking_for_a_token_makes_none(ring: KeyRing) -> None:
    size = ring.path.stat().st_size
    assert ring.known("card", CARD) is None
    assert ring.path.stat().st_size == size
    token = ring.subject("card", CARD).token
    assert ring.known("card", CARD) == token
    assert ring.known("device", CARD) is None


# Erasure


def test_the_key_of_an_erased_subject_is_nowhere(ring: KeyRing) -> None:
    before = [ring.subject("card", f"{i}").token for i in range(5)]
    keys = ring.path.read_bytes()
    assert ring.erase("card", "3")
    after = ring.path.read_bytes()
    changed = [i for i in range(0, len(keys), 64) if keys[i : i + 64] != after[i : i + 64]]
    assert len(changed) == 1
    assert after[changed[0] : changed[0] + 64] == bytes(64)
    assert ring.known("card", "3") is None
    assert not ring.erase("card", "3")
    assert not ring.erase("card", "never seen")
    others = [0, 1, 2, 4]
    assert [ring.subject("card", f"{i}").token for i in others] == [before[i] for i in others]
    assert {p.name for p in ring.path.parent.iterdir()} == {"ring"}


def test_a_subject_that_comes_back_has_another_token(ring: KeyRing) -> None:
    tokens = []
    for _ in range(3):
        tokens.append(ring.subject("card", CARD).token)
        assert ring.subject("card", CARD).token == tokens[-1]
        ring.erase("card", CARD)
    assert len(set(tokens)) == 3


def test_what_another_process_does_counts_at_once(ring: KeyRing) -> None:
    with KeyRing(ring.path) as other:
        token = other.subject("card", CARD).token
        assert ring.known("card", CARD) == token
        assert ring.subject("card", CARD).token == token
        assert other.erase("card", CARD)
        assert ring.known("card", CARD) is None
        assert not ring.erase("card", CARD)
        new = other.subject("card", CARD).token
        assert new != token
        assert ring.subject("card", CARD).token == new


def test_many_subjects_are_found_again(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explain.writing.key_ring._SLOTS_AT_ONCE", 7)
    tokens = [ring.subject("customer", i).token for i in range(100)]
    ring.erase("customer", 50)
    with KeyRing(ring.path) as again:
        found = [again.known("customer", i) for i in range(101)]
    assert found == [*tokens[:50], None, *tokens[51:], None]


def test_threads_and_processes_agree(ring: KeyRing) -> None:
    """Four threads and two processes ask for the same new subjects at the same time."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom explain.writing.key_ring import KeyRing\n"
        "with KeyRing(Path(sys.argv[1])) as ring:\n"
        "    print(' '.join(ring.subject('card', i).token for i in range(50)))\n"
    )
    command = [sys.executable, "-c", code, str(ring.path)]
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=there) for _ in range(2)
    ]
    said: list[list[str]] = [[] for _ in range(4)]

    def ask(place: int) -> None:
        said[place] += [ring.subject("card", i).token for i in range(50)]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    said += [process.communicate(timeout=60)[0].split() for process in processes]
    assert all(len(tokens) == 50 for tokens in said)
    assert len({tuple(tokens) for tokens in said}) == 1
    assert ring.path.stat().st_size == 64 * 51


# Sealed places


def test_a_place_is_opened_by_whoever_holds_the_ring_until_the_erasure(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explain.writing.key_ring._SLOTS_AT_ONCE", 7)
    places = [ring.subject("card", i).seal("e", 1, i) for i in range(40)]
    with KeyRing(ring.path) as other:
        assert [other.open_place("e", place) for place in places] == [(1, i) for i in range(40)]
        assert other.open_place("f", places[0]) is None
        assert ring.erase("card", 8)
        assert other.open_place("e", places[8]) is None
        ring.subject("card", 8)
        assert other.open_place("e", places[8]) is None, "a new key is another one"
        assert other.open_place("e", places[39]) == (1, 39)


def test_the_zeros_of_an_erased_subject_are_no_key(ring: KeyRing) -> None:
    ring.subject("card", CARD)
    ring.erase("card", CARD)
    assert ring.open_place("e", Subject(b"", bytes(32)).seal("e", 0, 0)) is None


# The file


def test_the_file_is_its_owners_alone(ring: KeyRing) -> None:
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ring.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o644])
def test_a_ring_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    KeyRing.make(path).close()
    path.chmod(mode)
    with pytest.raises(KeyRingError, match=f"chmod 600 {path}"):
        KeyRing(path)
    path.chmod(0o600)
    KeyRing(path).close()


def test_a_ring_that_is_not_there_is_not_made_in_silence(path: Path) -> None:
    with pytest.raises(KeyRingError, match="there is no key ring"):
        KeyRing(path)
    assert not path.exists()


def test_a_ring_is_never_replaced(ring: KeyRing) -> None:
    content = ring.path.read_bytes()
    with pytest.raises(KeyRingError, match="is there already"):
        KeyRing.make(ring.path)
    assert ring.path.read_bytes() == content
    assert [each.name for each in ring.path.parent.iterdir()] == ["ring"]


@pytest.mark.parametrize(
    "content", [b"", b"weir key ring 1\n", b"x" * 64, b"weir key ring 2\n" * 4]
)
def test_another_file_is_no_ring(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyRingError, match="is no key ring"):
        KeyRing(path)
    assert path.read_bytes() == content


def test_a_link_and_a_folder_are_no_ring(ring: KeyRing, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ring.path)
    with pytest.raises(KeyRingError, match="link: can't be opened"):
        KeyRing(tmp_path / "link")
    with pytest.raises(KeyRingError, match="can't be opened"):
        KeyRing(tmp_path)
    with pytest.raises(KeyRingError, match="can't be written"):
        KeyRing.make(ring.path / "below a file")


def test_half_a_slot_of_a_writer_that_died_is_written_over(ring: KeyRing) -> None:
    first = ring.subject("card", "1").token
    with open(ring.path, "ab") as file:
        file.write(b"half")
    with KeyRing(ring.path) as again:
        assert again.known("card", "1") == first
        second = again.subject("card", "2").token
    with KeyRing(ring.path) as again:
        assert (again.known("card", "1"), again.known("card", "2")) == (first, second)
    assert ring.path.stat().st_size == 64 * 3


def test_a_full_disk_is_said_and_changes_nothing(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = ring.subject("card", "1").token
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:10], at))
    with pytest.raises(KeyRingError, match=f"{ring.path}: can't be written: No space left"):
        ring.subject("card", "2")
    monkeypatch.undo()
    assert ring.subject("card", "1").token == token
    second = ring.subject("card", "2").token
    with KeyRing(ring.path) as again:
        assert again.known("card", "2") == second


def test_a_key_is_shown_nowhere(ring: KeyRing) -> None:
    ring.subject("card", CARD)
    content = ring.path.read_bytes()
    keys = [content[at : at + 32] for at in range(32, len(content), 64)]
    assert len(keys) == 2
    shown = f"{ring!r} {ring}"
    assert shown == f"KeyRing({str(ring.path)!r}) KeyRing({str(ring.path)!r})"
    assert not any(key.hex() in shown or repr(key)[2:-1] in shown for key in keys)
