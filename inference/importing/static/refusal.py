"""Why a file does not become a model package."""

from inference.errors import InferenceError
from streams.base.errors import WRONG_USE


class ImportRefusedError(InferenceError):
    """A file is refused.

    Args:
        place: where in the file it is, such as ``node 3 'drop' (Dropout)``.
        problem: what is wrong there.
        fix: what to do about it.
        file: the file; who knows it fills it in.
    """

    exit_code = WRONG_USE

    def __init__(self, place: str, problem: str, fix: str, file: str = "") -> None:
        super().__init__(place, problem, fix, file)
        self.place = place
        self.problem = problem
        self.fix = fix
        self.file = file

    def __str__(self) -> str:
        parts = (self.file, self.place, self.problem)
        return f"{': '.join(part for part in parts if part)}. {self.fix}"
