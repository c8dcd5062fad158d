"""What a catalogue must keep to, and how a mistake in it is answered."""

from pathlib import Path
from typing import Any

import pytest
from catalogues import catalogue, entry, of_group, texts, write

from explain.reasons.catalogue import Catalogue
from explain.reasons.catalogue_file import CatalogueError, load_catalogue
from explain.reasons.catalogue_rules import problems_of


def problems(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.kind, each.key) for each in problems_of(Catalogue.model_validate(values))]


def test_a_good_catalogue_is_read(tmp_path: Path) -> None:
    found = load_catalogue(write(tmp_path / "reasons.toml", catalogue()))
    assert (found.name, found.version, found.languages) == ("test", "1", ("en", "de"))
    assert found.entries[0].adverse_action
    assert not found.fallback.adverse_action


def test_the_digest_is_of_what_is_said_not_of_how_the_file_is_written(tmp_path: Path) -> None:
    file = write(tmp_path / "reasons.toml", catalogue())
    first = load_catalogue(file).sha256
    file.write_text("# a comment\n\n" + file.read_text())
    assert load_catalogue(file).sha256 == first
    file.write_text(file.read_text().replace("It is unusual.", "It is odd."))
    assert load_catalogue(file).sha256 != first


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "can't be read: No such file"), (b"name = ", "not TOML: "), (b"# \xff", "is no UTF-8")],
)
def test_a_file_that_is_no_catalogue_is_named(
    tmp_path: Path, text: bytes | None, says: str
) -> None:
    file = tmp_path / "reasons.toml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(CatalogueError, match=says) as error:
        load_catalogue(file)
    assert str(error.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("values", "key", "says"),
    [
        (catalogue(nmae="x"), "nmae", "no such key"),
        (catalogue(entry(code=None)), "entries.0.code", "this key is missing"),
        (catalogue(entry(direction="up")), "entries.0.direction", "'high'"),
        (catalogue(entry(group="g")), "entries.0", "either a feature or a group"),
        (catalogue(entry(feature=None)), "entries.0", "either a feature or a group"),
        (catalogue(entry(by="amount")), "entries.0", "by is for groups"),
        (catalogue(of_group("g", direction="high")), "entries.0", "name the feature"),
        (catalogue(of_group("g", band={"below": 1})), "entries.0", "name the feature"),
        (catalogue(entry(direction="missing", band={"below": 1})), "entries.0", "in no band"),
        (catalogue(entry(band={})), "entries.0.band", "at_least, below or both"),
        (catalogue(entry(band={"at_least": 2, "below": 2})), "entries.0.band", "no value is"),
        (catalogue(entry(band={"below": float("nan")})), "entries.0.band.below", "finite"),
        (catalogue(entries=[]), "entries", "at least 1"),
    ],
)
def test_a_wrong_key_is_answered_with_file_key_and_fix(
    tmp_path: Path, values: dict[str, Any], key: str, says: str
) -> None:
    file = write(tmp_path / "reasons.toml", values)
    with pytest.raises(CatalogueError) as error:
        load_catalogue(file)
    assert str(error.value).startswith(f"{file}: {key}: ")
    assert says in str(error.value)
    assert "pydantic" not in str(error.value)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    bad = catalogue(
        entry(customer=texts("More than {typical}.")), entry("b", analyst=texts("x", "en"))
    )
    with pytest.raises(CatalogueError) as error:
        load_catalogue(write(tmp_path / "reasons.toml", bad))
    lines = str(error.value).splitlines()
    assert len(lines) == len(error.value.problems) == 3
    assert all(line.startswith(str(tmp_path)) for line in lines)


# Languages

AMOUNT = "entries.0 (amount, high, amount-high)"
FALLBACK = {"code": "f", "analyst": texts("x"), "customer": texts("x")}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (catalogue(entry(analyst=texts("x", "en"))), f"{AMOUNT}.analyst.de"),
        (catalogue(entry(customer={"en": "x", "de": " "})), f"{AMOUNT}.customer.de"),
        (catalogue(entry(analyst=texts("x", "en", "de", "fr"))), f"{AMOUNT}.analyst.fr"),
        (catalogue(fallback=FALLBACK | {"customer": texts("x", "de")}), "fallback.customer.en"),
        (catalogue(languages=["en", "de", "de"]), "languages"),
    ],
)
def test_every_language_is_complete(values: dict[str, Any], key: str) -> None:
    assert problems(values) == [("language", key)]


def test_a_language_is_one_that_numbers_can_be_written_in() -> None:
    klingon = texts("x", "tlh")
    values = catalogue(
        entry(analyst=klingon, customer=klingon),
        languages=["tlh"],
        fallback={"code": "f", "analyst": klingon, "customer": klingon},
    )
    assert problems(values) == [("language", "languages")]


# What the customer may learn


@pytest.mark.parametrize("name", ["value", "typical", "unit"])
def test_the_customer_is_told_no_number(name: str) -> None:
    found = problems(catalogue(entry(customer=texts(f"It is {{{name}}}."))))
    assert [kind for kind, _ in found] == ["reveals", "reveals"]


def test_a_catalogue_may_tell_the_customer_the_value_and_never_the_typical_one() -> None:
    told = entry(customer=texts("It is {value} {unit}."))
    assert problems(catalogue(told, customer_values=True)) == []
    told = entry(customer=texts("It is {value}, not {typical}."))
    found = problems_of(Catalogue.model_validate(catalogue(told, customer_values=True)))
    assert [each.kind for each in found] == ["reveals", "reveals"]
    assert all("{typical}: " in each.says for each in found)


@pytest.mark.parametrize(
    ("text", "shown", "revealed"),
    [
        ("More than 1000 EUR.", "number", True),
        ("More than 1,000.00 EUR.", "number", True),
        ("Mehr als 1.000,00 EUR.", "number", True),
        ("More than 1\u00a0000 EUR.", "number", True),
        ("More than 10000 EUR in 30 days.", "number", False),
        ("More than 100000 %.", "percent", True),
        ("More than 1’000 EUR.", "number", True),
        ("Much.", "number", False),
    ],
)
def test_a_bound_of_the_band_is_not_told(text: str, shown: str, revealed: bool) -> None:
    bound = entry(customer=texts(text), band={"at_least": 1000}, show=shown)
    assert [kind for kind, _ in problems(catalogue(bound))] == ["reveals"] * (2 * revealed)


@pytest.mark.parametrize(
    ("bound", "shown", "text"),
    [(0.07, "percent", "7 %"), (7_200, "duration", "2 hours"), (172_800, "duration", "2 days")],
)
def test_a_bound_is_found_as_the_text_would_show_it(bound: float, shown: str, text: str) -> None:
    told = entry(customer=texts(f"More than {text}."), band={"below": bound}, show=shown)
    assert [kind for kind, _ in problems(catalogue(told))] == ["reveals"] * 2


# Placeholders


@pytest.mark.parametrize(
    "text", ["{valeu}", "{value:.2f}", "{value!r}", "{value.real}", "{0}", "{}", "{", "}"]
)
def test_an_unknown_placeholder_is_refused(text: str) -> None:
    found = problems(catalogue(entry(analyst=texts(text))))
    assert [kind for kind, _ in found] == ["placeholder", "placeholder"]


def test_a_placeholder_that_nothing_fills_is_refused() -> None:
    missing = entry(direction="missing", analyst=texts("None, not {value}."))
    assert [kind for kind, _ in problems(catalogue(missing))] == ["placeholder"] * 2
    usual = entry(direction="missing", analyst=texts("None, typically {typical}."))
    assert problems(catalogue(usual)) == []
    group = of_group("g", analyst=texts("It is {value}."))
    assert [kind for kind, _ in problems(catalogue(group))] == ["placeholder"] * 2
    assert problems(catalogue(group | {"by": "amount"})) == []


# Codes


def test_a_code_says_one_thing_to_the_customer() -> None:
    first = entry(code="A")
    assert problems(catalogue(first, entry("b", code="A"))) == []
    for other in ({"customer": texts("Else.")}, {"adverse_action": False}):
        found = problems(catalogue(first, entry("b", code="A", **other)))
        assert found == [("code", "entries.1 (b, high, A).code")]
    assert [kind for kind, _ in problems(catalogue(entry(code="none")))] == ["code"]


# Order


@pytest.mark.parametrize(
    ("entries", "unreachable"),
    [
        ([entry(), entry()], [1]),
        ([entry(direction="any"), entry()], [1]),
        ([entry(), entry(direction="any")], []),
        ([entry(), entry(direction="low"), entry(direction="any")], []),
        ([entry(band={"below": 5}), entry(band={"at_least": 5}), entry()], [2]),
        ([entry(band={"below": 5}), entry(band={"at_least": 6}), entry()], []),
        ([entry(band={"at_least": 1, "below": 9}), entry(band={"at_least": 3, "below": 5})], [1]),
        ([entry(), entry("other")], []),
        (
            [
                entry(direction="any", band={"below": 9}),
                entry(direction="missing", analyst=texts("x")),
            ],
            [],
        ),
        ([entry(direction="any"), entry(direction="missing", analyst=texts("x"))], [1]),
        ([of_group("amount"), entry()], []),
        ([of_group("g"), of_group("g", by="amount")], [1]),
        ([of_group("g", by="amount"), of_group("g", by="other"), of_group("g")], []),
    ],
)
def test_what_earlier_entries_take_is_unreachable(
    entries: list[dict[str, Any]], unreachable: list[int]
) -> None:
    found = [
        (kind, int(key.split()[0].split(".")[1])) for kind, key in problems(catalogue(*entries))
    ]
    assert found == [("unreachable", index) for index in unreachable]
