"""What users with some rights are told by the front door."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from security_world import World

LONGEST_S = 60


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]
RunIn = Callable[[World], Run]


def done(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)
