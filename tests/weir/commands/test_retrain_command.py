"""`weir retrain`: what is no spec, or says more than we know of, is not run."""

import pytest
from front_door import weir_here as weir
from msgspec import json

from monitoring.retraining.jobs.job import JobSpec
from streams.base.errors import WRONG_USE

SPEC = JobSpec("e", "c", "f", "a", {"events/0": 3}, 1, None, 7, True, left_out=((1, 2),))


@pytest.mark.parametrize(
    ("more", "why"),
    [({"without": [3]}, "unknown field `without`"), ({"start": "x"}, "Expected `int | null`")],
)
def test_what_is_no_spec_of_ours_is_refused(more: dict[str, object], why: str) -> None:
    said = weir("retrain", json.encode(json.decode(json.encode(SPEC)) | more).decode())
    assert said.returncode == WRONG_USE, said.stderr
    assert why in said.stderr
    assert "run jobs by its version" in " ".join(said.stderr.split())
