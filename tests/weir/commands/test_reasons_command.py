"""``weir reasons`` as a user runs it."""

import json
from pathlib import Path

import pytest
from front_door import write_settings

from weir.reasons import EXAMPLE_CATALOGUE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path / "weir.toml")


def own_catalogue(config: Path, **replaced: str) -> Path:
    """A copy of the example's catalogue with other words, and settings that name it."""
    file = config.with_name("reasons.toml")
    text = EXAMPLE_CATALOGUE.read_text(encoding="utf-8")
    for old, new in replaced.values():
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")
    write_settings(config, reasons={"file": str(file)})
    return file


def test_the_example_is_in_order(run, config):
    code, out, err = run("reasons", "check", "-c", config)
    assert (code, err) == (0, "")
    assert out.startswith(f"{EXAMPLE_CATALOGUE}: weir-example 1 has a reason for every value")
    said = json.loads(run("reasons", "check", "-c", config, "--json")[1])
    assert (said["name"], said["version"], said["problems"]) == ("weir-example", "1", [])
    assert said["languages"] == ["en", "de"]


def test_what_is_wrong_is_named_with_file_key_and_fix(run, config):
    file = own_catalogue(
        config,
        a=('feature = "amount"\ndirection = "high"', 'feature = "amuont"\ndirection = "high"'),
    )
    code, out, err = run("reasons", "check", "-c", config)
    assert (code, err) == (1, "")
    unknown, uncovered = out.splitlines()
    assert unknown.startswith(f"{file}: entries.0 (amuont, high, amount-high): there is no feature")
    assert uncovered.startswith(f"{file}: entries (amount, high): there is no reason")
    code, out, err = run("reasons", "check", "-c", config, "--json")
    assert (code, err) == (1, "")
    problems = json.loads(out)["problems"]
    assert [each["kind"] for each in problems] == ["unknown", "uncovered"]


def test_groups_and_languages_are_those_of_the_settings(run, config):
    groups = {"terminal": ["terminal_count_1d", "terminal_frauds_1d"]}
    write_settings(config, reasons={"languages": ["fr"]}, explain={"groups": groups})
    code, out, _ = run("reasons", "check", "-c", config)
    assert (code, len(out.splitlines())) == (1, 1)
    assert "reasons.languages" in out
    file = own_catalogue(
        config,
        a=('feature = "terminal_count_1d"', 'group = "terminal"\nby = "terminal_count_1d"'),
        b=('feature = "terminal_count_1d"', 'group = "terminal"\nby = "terminal_count_1d"'),
    )
    write_settings(config, reasons={"file": str(file)}, explain={"groups": groups})
    code, out, _ = run("reasons", "check", "-c", config)
    lines = out.splitlines()
    assert (code, len(lines)) == (1, 2)
    assert all("the entries of group 'terminal' always fit" in line for line in lines)
    assert all("terminal_frauds_1d" in line for line in lines)


def test_a_catalogue_that_cannot_be_used_is_found_too(run, config):
    file = own_catalogue(config, a=("customer.de", "customer.fr"))
    code, out, err = run("reasons", "check", "-c", config)
    assert (code, err) == (1, "")
    assert all(line.startswith(f"{file}: fallback.customer.") for line in out.splitlines())
    assert [
        each["kind"]
        for each in json.loads(run("reasons", "check", "-c", config, "--json")[1])["problems"]
    ] == ["language", "language"]
    code, out, err = run("reasons", "show", "-c", config)
    assert (code, out) == (2, "")
    assert f"{file}: fallback.customer.de: " in err
    file.unlink()
    code, out, _ = run("reasons", "check", "-c", config)
    assert (code, out) == (1, f"{file}: can't be read: No such file or directory\n")


def test_the_catalogue_is_shown(run, config):
    code, out, err = run("reasons", "show", "-c", config)
    assert (code, err) == (0, "")
    assert "weir-example 1" in out
    assert "The amount is unusually high." in out
    assert "{value} {unit}" in out
    german = run("reasons", "show", "-c", config, "--language", "de")[1]
    assert "Der Betrag ist ungewöhnlich hoch." in german
    values = json.loads(run("reasons", "show", "-c", config, "--json")[1])
    assert values["entries"][0]["customer"]["de"] == "Der Betrag ist ungewöhnlich hoch."
    code, _, err = run("reasons", "show", "-c", config, "--language", "fr")
    assert (code, "en or de" in err) == (2, True)
