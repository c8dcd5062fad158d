"""What our packages import is declared: nobody's installation works by what others bring along."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("streams", "inference", "explain", "monitoring", "weir")
NOT_INSTALLED = {
    "nvforest": "nvforest-cu13",
    "pycuda": "pycuda",
    "tensorrt": "tensorrt",
    "treelite": "treelite",
}
"""Modules of extras that the tests do without, and who distributes them."""


def imported_modules(source: str) -> Iterator[str]:
    """Names of all modules that a file imports, wherever in it, by ``import_module`` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            named = node.args[0]
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield named.value


def undeclared(imported: dict[str, str], declared: set[str]) -> list[str]:
    """Modules, with a file that imports each, that no declared distribution brings."""
    brought_by = packages_distributions()
    missing = []
    for module, file in sorted(imported.items()):
        distributions = brought_by.get(module) or [NOT_INSTALLED.get(module, module)]
        if not {_plain(name) for name in distributions} & declared:
            missing.append(f"{file} imports {module}, of {' or '.join(sorted(set(distributions)))}")
    return missing


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(each for extra in extras for each in extra)]
    return {_plain(re.split(r"[<>=!~;\[ ]", each)[0]) for each in requirements}


def test_what_is_imported_is_declared(declared: set[str]) -> None:
    imported: dict[str, str] = {}
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for module in imported_modules(file.read_text(encoding="utf-8")):
                imported.setdefault(module.partition(".")[0], str(file.relative_to(ROOT)))
    others = {
        module: file
        for module, file in imported.items()
        if module not in sys.stdlib_module_names and module not in (*ROOMS, "tests")
    }
    assert {"numpy", "confluent_kafka", "cuda"} <= others.keys()
    assert undeclared(others, declared) == []


def test_what_others_bring_along_would_be_found(declared: set[str]) -> None:
    source = "def late():\n    import yaml.nodes\n    importlib.import_module('jinja2')\n"
    assert list(imported_modules(source)) == ["yaml.nodes", "jinja2"]
    (said,) = undeclared({"pluggy": "weir/x.py"}, declared)
    assert said == "weir/x.py imports pluggy, of pluggy"
