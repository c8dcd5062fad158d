"""The house rules of imports: a room knows only the rooms below it."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("streams", "inference", "explain", "monitoring", "weir")
"""From the ground up."""


def imported_rooms(file: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: import by full name, not relatively"
            rooms.add(node.module.split(".")[0])
    return rooms & set(FLOORS)


FILES = [file for room in FLOORS for file in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_arrow_runs_upwards(file: Path) -> None:
    room = file.relative_to(ROOT).parts[0]
    below = FLOORS[: FLOORS.index(room) + 1]
    upwards = imported_rooms(file) - set(below)
    assert not upwards, f"{file.relative_to(ROOT)} imports {sorted(upwards)} from above"


def test_every_room_is_looked_at() -> None:
    rooms = {file.relative_to(ROOT).parts[0] for file in FILES}
    assert {"streams", "inference", "weir"} <= rooms


def test_a_wrong_arrow_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("from weir.settings import Settings\nimport inference.policy\n")
    assert imported_rooms(file) == {"weir", "inference"}


def test_no_two_modules_of_tests_share_a_name() -> None:
    """Python imports them by their names alone: pytest would refuse to collect the second one."""
    files = [
        file
        for file in (ROOT / "tests").rglob("*.py")
        if not (file.parent / "__init__.py").exists() and file.name != "conftest.py"
    ]
    names = Counter(file.name for file in files)
    assert [name for name, count in names.items() if count > 1] == []
