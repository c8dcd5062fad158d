"""Damaged and forged files are refused, or imported; they never bring the importer down."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from import_mutations import LIMITS, NAMES

from inference.importing.sandbox.inspection import Request
from inference.importing.sandbox.sandbox import inspect_apart
from inference.importing.static.refusal import ImportRefusedError

HERE = Path(__file__).parents[1]


def campaign(seed: int, count: int) -> dict[str, dict[str, object]]:
    """Mutate and import in forks of a process of its own."""
    ended = subprocess.run(
        [sys.executable, str(HERE / "import_mutations.py"), str(seed), str(count)],
        capture_output=True,
        text=True,
        timeout=60 + count,
        cwd=HERE.parents[1],
        env={"PYTHONPATH": str(HERE.parents[1]), "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def check(result: dict[str, dict[str, object]], count: int, folder: Path) -> None:
    outcomes = result["outcomes"]
    assert sum(outcomes.values()) == count
    assert outcomes["refused"] > count / 4
    assert outcomes["done"] > 0
    # What ended its process there is an error message where it is imported.
    for example in result["examples"].values():
        path = folder / "mutated.onnx"
        path.write_bytes(bytes.fromhex(str(example)))
        with pytest.raises(ImportRefusedError):
            inspect_apart(path, Request(NAMES, limits=LIMITS))


def test_mutations_are_refused_or_imported(tmp_path):
    check(campaign(seed=1, count=40), 40, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_mutations_are_refused_or_imported(tmp_path, seed):
    check(campaign(seed, count=1_500), 1_500, tmp_path)
