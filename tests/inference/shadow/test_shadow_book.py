"""Which candidates are tried, and in which order they came."""

from inference.control.commands import ControlEntry, ModelVersion, Withdrawal, encode
from inference.control.signatures import CommandKeys
from inference.shadow.shadow_book import ShadowBook, ShadowCommand, shadow_key
from streams.kafka.records.control_topic import ControlRecord


def told(book: ShadowBook, name: str, said: ControlEntry) -> None:
    assert book.hear(ControlRecord(shadow_key(name), encode(said), 0, 1))


def named(at: int) -> ShadowCommand:
    return ShadowCommand(model=ModelVersion(version=2, package="b" * 64), by="ada", at=at)


def test_who_takes_away_what_fails_does_not_make_the_next_one_s_verdict_easier() -> None:
    book = ShadowBook(CommandKeys("control"))
    for at, name in enumerate(("first", "second", "third")):
        told(book, name, named(at))
    assert [book.place(name) for name in ("first", "second", "third")] == [1, 2, 3]
    told(book, "first", Withdrawal(by="ada", at=5))
    assert book.place("third") == 3
    told(book, "fourth", named(6))
    assert book.place("fourth") == 4


def test_nor_does_who_tries_one_model_after_the_other_under_one_name() -> None:
    book = ShadowBook(CommandKeys("control"))
    for number in range(1, 6):
        model = ModelVersion(version=number, package=f"{number}" * 64)
        place = book.next_place("new", model)
        assert place == number
        told(book, "new", named(2 * number).model_copy(update={"model": model, "place": place}))
        assert book.place("new") == book.next_place("new", model) == number
        if number % 2:
            told(book, "new", Withdrawal(by="ada", at=2 * number + 1, place=book.place("new")))
    assert book.next_place("other", model) == 6
