"""Reading a catalogue of reasons from its file."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from explain.errors import ExplainError
from explain.reasons.catalogue import Catalogue
from explain.reasons.catalogue_rules import Problem, problems_of


class CatalogueError(ExplainError):
    """A catalogue can't be used; the message has one line for each problem."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.problems = tuple(problems)


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue, and refuse one that breaks a rule of `explain.reasons.catalogue_rules`.

    Raises:
        CatalogueError: it is missing, no TOML, or something in it is wrong; names file, key, fix.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(path, [_file_problem(f"can't be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise CatalogueError(path, [_file_problem(f"is no UTF-8: {error}")]) from error
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(path, [_file_problem(f"not TOML: {error}")]) from error
    try:
        catalogue = Catalogue.model_validate(values)
    except ValidationError as error:
        raise CatalogueError(path, _problems(error)) from error
    problems = problems_of(catalogue)
    if problems:
        raise CatalogueError(path, problems)
    return catalogue


def _file_problem(says: str) -> Problem:
    return Problem("catalogue", "", says)


def _problems(error: ValidationError) -> list[Problem]:
    found = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        says = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            says = "there is no such key; look for a typing mistake"
        elif problem["type"] == "missing":
            says = "this key is missing"
        found.append(Problem("catalogue", key, says))
    return found
